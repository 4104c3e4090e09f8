use postern::spam::*;
fn main() {
    let d = std::path::Path::new("/tmp/postern-spam");
    let c: Vec<Corpus> =
        ["spamassassin", "csdmc2010"].iter().map(|n| Corpus::open(&d.join(n).join("index")).unwrap()).collect();
    let t = train("base-1", &c, |_| {}).unwrap();
    println!("{:?} trained_on {:?}", serde_json::to_string(&t.held_back).unwrap(), t.trained_on);
    for th in [0.5f32, 0.9, 0.99, 0.999, 0.9995] {
        println!("held back at {th}: {:?}", t.held_back.above((th / (1.0 - th)).ln()));
    }
    std::fs::write("spam-models/base.model", t.model.to_octets()).unwrap();
    let f = Filter::new(t.model, Thresholds::default());
    for n in ["phishing_pot-2022-2025h1", "ham-lists-2000-2024"] {
        let s = std::time::Instant::now();
        let c = Corpus::open(&d.join(n).join("index")).unwrap();
        let sc: Vec<_> = c.examples().map(|e| f.score(&e.unwrap())).collect();
        let el = s.elapsed();
        let k = sc.len();
        let m = Measure::of(sc);
        print!("{n}: {} ham {} spam {:.0} us each;", m.ham, m.spam, el.as_micros() as f64 / k as f64);
        for th in [0.5f32, 0.9, 0.99, 0.999, 0.9995] {
            print!(" {th}:{:?}", m.above((th / (1.0 - th)).ln()));
        }
        println!();
    }
}
