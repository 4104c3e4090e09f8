//! The records of a zone, and what an authoritative server answers from them.

use super::master_file::{self, ZoneError};
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType},
};
use std::{collections::BTreeMap, str::FromStr};

/// Aliases followed inside the zone (RFC 1034 §3.6.2); a chain that goes in circles ends here.
const ALIASES_MAX: usize = 8;

/// Records by name, read from a master file (RFC 1035 §5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zone {
    records: BTreeMap<Name, Vec<Record>>,
    soa: Option<Record>,
}

/// What the zone has for one question.
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    /// The zone's SOA, by which a negative answer may be kept (RFC 2308 §3).
    pub(super) authority: Option<Record>,
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let mut zone = Self::default();
        for record in master_file::records(text)? {
            zone.add(record);
        }
        Ok(zone)
    }
}

impl Zone {
    /// The number of records.
    pub fn record_count(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    fn add(&mut self, record: Record) {
        if record.record_type() == RecordType::SOA {
            self.soa = Some(record.clone());
        }
        self.records.entry(record.name.clone()).or_default().push(record);
    }

    /// Whether a name has records of a type, its own or through an alias.
    pub(super) fn has(&self, name: &Name, wanted: RecordType) -> bool {
        let own = self.records.get(name);
        own.is_some_and(|own| own.iter().any(|record| [wanted, RecordType::CNAME].contains(&record.record_type())))
    }

    /// RFC 1034 §4.3.2, without delegations and wildcards.
    pub(super) fn answer(&self, name: &Name, wanted: RecordType) -> Answer {
        let mut answers = Vec::new();
        let mut name = name.clone();
        for _ in 0..ALIASES_MAX {
            let Some(own) = self.records.get(&name) else {
                return self.nothing(&name, answers);
            };
            let found = own.iter().filter(|record| record.record_type() == wanted);
            let before = answers.len();
            answers.extend(found.cloned());
            if answers.len() > before {
                return Answer { code: ResponseCode::NoError, answers, authority: None };
            }
            let Some((alias, target)) = own.iter().find_map(alias) else {
                return self.negative(ResponseCode::NoError, answers);
            };
            answers.push(alias);
            name = target;
        }
        Answer { code: ResponseCode::ServFail, answers: Vec::new(), authority: None }
    }

    /// A name without records: it exists all the same where there are names below it (RFC 8020 §2).
    fn nothing(&self, name: &Name, answers: Vec<Record>) -> Answer {
        let exists = self.records.keys().any(|other| name.zone_of(other));
        self.negative(if exists { ResponseCode::NoError } else { ResponseCode::NXDomain }, answers)
    }

    fn negative(&self, code: ResponseCode, answers: Vec<Record>) -> Answer {
        Answer { code, answers, authority: self.soa.clone() }
    }
}

fn alias(record: &Record) -> Option<(Record, Name)> {
    match &record.data {
        RData::CNAME(target) => Some((record.clone(), target.0.clone())),
        _ => None,
    }
}
