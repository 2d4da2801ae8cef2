#[path = "../benches/micro/model.rs"] mod model;
use sim_core::{*, source::*};
fn main() {
    for (p,t) in [(1u32,3usize),(8,4)] {
        let m = model::Model::new(p,t,true);
        let mut ex = Executor::new(&m.core, &m);
        let n = if p==1 {3_000_000u64} else {300_000};
        let t0 = std::time::Instant::now();
        let mut steps=0; let mut bad=0;
        for s in 0..n { m.core.set_source(Source::Random(Random::new(s))); if m.run(&mut ex) {bad+=1}; steps+=m.core.steps(); }
        let d = t0.elapsed();
        println!("p{p} t{t}: {:.2}M/s {:.1} steps/run {:.1} ns/step bad {bad}", n as f64/d.as_secs_f64()/1e6, steps as f64/n as f64, d.as_nanos() as f64/steps as f64);
    }
    let m = model::Model::new(1,3,false);
    for name in ["random","sticky","pct2","pct3","pos"] {
        let mut ex = Executor::new(&m.core, &m);
        let mut firsts = vec![];
        for k in 0..21u64 { for s in 0.. { let seed = k*10_000_000+s;
            m.core.set_source(match name {"random"=>Source::Random(Random::new(seed)),"sticky"=>Source::Sticky(Sticky::new(seed)),"pct2"=>Source::Pct(Pct::new(seed,2,14)),"pct3"=>Source::Pct(Pct::new(seed,3,14)),_=>Source::Pos(Pos::new(seed))});
            if m.run(&mut ex) {firsts.push(s+1);break} } }
        firsts.sort();
        println!("{name} first {}", firsts[10]);
    }
}
