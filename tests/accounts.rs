//! Accounts over a real store: where addresses lead, who may log in, and what a restart finds.

use postern::{
    accounts::{Account, Accounts, AccountsError, Alias, Password, Resolution},
    clock::{Clock, UnixMillis},
    mail::{AccountId, Address, Domain, ForwardPath},
    store::{Settings, Store, StoreError},
};
use std::{path::Path, time::Duration};

struct Fixture {
    accounts: Accounts,
    store: Store,
    clock: Clock,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(UnixMillis(1_700_000_000_000), 1);
        let (accounts, store) = open(folder.path(), &clock).await;
        accounts.add_domain(&domain("example.org")).await.unwrap();
        Self { accounts, store, clock, folder }
    }

    async fn reopened(self) -> Self {
        let Self { accounts, store, clock, folder } = self;
        store.close().await;
        drop((accounts, store));
        let (accounts, store) = open(folder.path(), &clock).await;
        Self { accounts, store, clock, folder }
    }

    async fn account(&self, text: &str) -> AccountId {
        self.accounts.add_account(&address(text), &password("secret")).await.unwrap().id
    }

    async fn alias(&self, name: &str, targets: &[&str]) -> Result<(), AccountsError> {
        let targets = targets.iter().map(|target| address(target)).collect();
        self.accounts.add_alias(&Alias { name: name.parse().unwrap(), targets }).await
    }

    async fn login(&self, name: &str, password: &str) -> Option<AccountId> {
        self.accounts.authenticate(name, password.as_bytes()).await.unwrap().map(|account| account.id)
    }

    #[track_caller]
    fn leads(&self, text: &str, to: &[AccountId]) {
        let path = if text == "postmaster" { ForwardPath::Postmaster } else { ForwardPath::Address(address(text)) };
        let expected = if to.is_empty() { Resolution::NoSuchAddress } else { Resolution::Accounts(to.to_vec()) };
        assert_eq!(self.accounts.resolve(&path).unwrap(), expected, "{text}");
    }
}

async fn open(folder: &Path, clock: &Clock) -> (Accounts, Store) {
    let settings = Settings {
        partitions: 2,
        pack_after_seconds: 3600,
        cache_octets: 1 << 20,
        ..Settings::at(folder.join("store"))
    };
    let store = Store::open(settings, clock.clone()).await.unwrap();
    (Accounts::new(store.clone(), clock.clone()).unwrap(), store)
}

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.as_bytes()).unwrap_or_else(|_| panic!("{text} is a password"))
}

#[tokio::test]
async fn addresses_lead_to_the_most_exact_match() {
    let fixture = Fixture::new().await;
    let (ann, bob) = (fixture.account("Ann@example.org").await, fixture.account("bob@example.org").await);
    fixture.alias("team@example.org", &["ann@example.org", "BOB@example.org"]).await.unwrap();
    fixture.alias("all@example.org", &["team@example.org", "bob@example.org"]).await.unwrap();

    fixture.leads("ANN@EXAMPLE.ORG", &[ann]);
    fixture.leads("bob+lists+x@example.org", &[bob]);
    fixture.leads("team+x@example.org", &[ann, bob]);
    fixture.leads("all@example.org", &[ann, bob]);
    for nobody in ["nobody@example.org", "+x@example.org", "\"b ob+x\"@example.org"] {
        fixture.leads(nobody, &[]);
    }
    let elsewhere = ForwardPath::Address(address("ann@example.net"));
    assert_eq!(fixture.accounts.resolve(&elsewhere).unwrap(), Resolution::NotLocal);

    fixture.alias("@example.org", &["ann@example.org"]).await.unwrap();
    fixture.leads("nobody@example.org", &[ann]);
    fixture.leads("bob+x@example.org", &[bob]);
}

/// RFC 5321 §4.5.1.
#[tokio::test]
async fn every_domain_has_a_postmaster() {
    let fixture = Fixture::new().await;
    let ann = fixture.account("ann@example.org").await;
    fixture.leads("postmaster", &[ann]);
    fixture.leads("PostMaster@example.org", &[ann]);

    fixture.accounts.add_domain(&domain("example.com")).await.unwrap();
    let cid = fixture.account("cid@example.com").await;
    fixture.leads("postmaster@example.com", &[cid]);
    fixture.leads("postmaster", &[ann]);
    fixture.alias("postmaster@example.org", &["cid@example.com"]).await.unwrap();
    fixture.leads("postmaster", &[cid]);
}

#[tokio::test]
async fn aliases_lead_somewhere_and_never_round() {
    let fixture = Fixture::new().await;
    let ann = fixture.account("ann@example.org").await;
    let refused = async |name: &str, targets: &[&str]| fixture.alias(name, targets).await.unwrap_err();
    assert!(matches!(refused("a@example.org", &["b@example.org"]).await, AccountsError::NoTarget(_)));
    assert!(matches!(refused("a@example.org", &[]).await, AccountsError::Targets(_)));
    assert!(matches!(refused("ann@example.org", &["ann@example.org"]).await, AccountsError::Exists(_)));
    assert!(matches!(refused("a@example.net", &["ann@example.org"]).await, AccountsError::NoDomain(_)));

    fixture.alias("a@example.org", &["ann@example.org"]).await.unwrap();
    fixture.alias("b@example.org", &["a@example.org"]).await.unwrap();
    assert!(matches!(refused("a@example.org", &["b@example.org"]).await, AccountsError::Loop(_)));
    fixture.leads("b@example.org", &[ann]);

    let name = |depth: usize| if depth == 0 { "ann@example.org".to_owned() } else { format!("d{depth}@example.org") };
    let mut depth = 1;
    while fixture.alias(&name(depth), &[&name(depth - 1)]).await.is_ok() {
        fixture.leads(&name(depth), &[ann]);
        depth += 1;
    }
    assert_eq!(depth - 1, postern::limits::ALIAS_DEPTH_MAX);
}

#[tokio::test]
async fn what_an_alias_leads_to_stays_until_the_alias_goes() {
    let fixture = Fixture::new().await;
    let ann = fixture.account("ann@example.org").await;
    fixture.alias("a@example.org", &["ann@example.org"]).await.unwrap();
    fixture.alias("b@example.org", &["a@example.org"]).await.unwrap();
    let in_use = fixture.accounts.remove_account(&address("ann@example.org")).await;
    assert!(matches!(in_use, Err(AccountsError::InUse(..))));
    let in_use = fixture.accounts.remove_alias(&"a@example.org".parse().unwrap()).await;
    assert!(matches!(in_use, Err(AccountsError::InUse(..))));
    let not_empty = fixture.accounts.remove_domain(&domain("example.org")).await;
    assert!(matches!(not_empty, Err(AccountsError::NotEmpty(_))));

    for alias in ["b@example.org", "A@example.org"] {
        fixture.accounts.remove_alias(&alias.parse().unwrap()).await.unwrap();
    }
    fixture.accounts.remove_account(&address("Ann@example.org")).await.unwrap();
    assert!(matches!(fixture.store.mailboxes(ann), Err(StoreError::NoAccount)));
    assert!(fixture.account("ann@example.org").await > ann, "ids are never used again");
    fixture.accounts.remove_account(&address("ann@example.org")).await.unwrap();
    fixture.accounts.remove_domain(&domain("example.org")).await.unwrap();
    assert_eq!((fixture.accounts.domains(), fixture.accounts.aliases()), (vec![], vec![]));
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let mut fixture = Fixture::new().await;
    fixture.accounts.add_domain(&domain("a.example")).await.unwrap();
    let ann = fixture.account("ann@example.org").await;
    fixture.alias("@a.example", &["ann@example.org"]).await.unwrap();
    let unknown = fixture.accounts.scram_keys("nobody@example.org").unwrap().0;

    fixture = fixture.reopened().await;
    assert_eq!(fixture.accounts.domains(), [domain("example.org"), domain("a.example")]);
    assert_eq!(fixture.accounts.accounts(), [Account { id: ann, address: address("ann@example.org") }]);
    fixture.leads("x@a.example", &[ann]);
    assert_eq!(fixture.login("ANN@example.org", "secret").await, Some(ann));
    assert_eq!(fixture.accounts.scram_keys("nobody@example.org").unwrap().0.salt, unknown.salt);
}

#[tokio::test]
async fn a_password_counts_until_it_is_changed() {
    let fixture = Fixture::new().await;
    let ann = fixture.account("ann@example.org").await;
    for (name, password) in
        [("ann@example.org", "wrong"), ("ann@example.org", ""), ("ann", "secret"), ("nobody@example.org", "secret")]
    {
        assert_eq!(fixture.login(name, password).await, None, "{name} {password}");
    }
    // The second is remembered, and so is not what the change has made wrong.
    for _ in 0..2 {
        assert_eq!(fixture.login("Ann@Example.ORG", "secret").await, Some(ann));
    }
    fixture.accounts.set_password(&address("ANN@example.org"), &password("another")).await.unwrap();
    assert_eq!(fixture.login("ann@example.org", "secret").await, None);
    assert_eq!(fixture.login("ann@example.org", "another").await, Some(ann));
    fixture.clock.advance(Duration::from_secs(86_400));
    assert_eq!(fixture.login("ann@example.org", "another").await, Some(ann));

    fixture.accounts.remove_account(&address("ann@example.org")).await.unwrap();
    assert_eq!(fixture.login("ann@example.org", "another").await, None);
}

/// RFC 5802 §9: a stranger cannot find out which names exist.
#[tokio::test]
async fn scram_keys_of_unknown_names_look_like_any_others() {
    let fixture = Fixture::new().await;
    let ann = fixture.account("ann@example.org").await;
    let keys = |login: &str| fixture.accounts.scram_keys(login).unwrap();
    let (known, account) = keys("ann@example.org");
    assert_eq!(account.map(|account| account.id), Some(ann));
    assert_eq!(keys("ANN@example.org").0.salt, known.salt);
    let (made_up, account) = keys("nobody@example.org");
    assert_eq!(account, None);
    assert_eq!((made_up.salt.len(), made_up.iterations), (known.salt.len(), known.iterations));
    assert_ne!(made_up.salt, keys("somebody@example.org").0.salt);
    for same in ["nobody@example.org", "Nobody@example.org", "nobody@Example.ORG"] {
        assert_eq!(keys(same).0.salt, made_up.salt, "{same}: a known name has one salt in any case");
    }
}

#[tokio::test]
async fn an_account_sends_as_its_own_addresses_only() {
    let fixture = Fixture::new().await;
    let (ann, bob) = (fixture.account("ann@example.org").await, fixture.account("bob@example.org").await);
    fixture.alias("team@example.org", &["bob@example.org"]).await.unwrap();
    let may = |account, text| fixture.accounts.may_send_as(account, &address(text));
    assert!(may(ann, "Ann+x@example.org") && may(bob, "team@example.org"));
    assert!(!may(ann, "bob@example.org") && !may(ann, "team@example.org") && !may(ann, "ann@example.net"));
}
