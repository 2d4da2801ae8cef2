use mmsim::{explain::*, explore::*, scenario::*};
use std::sync::atomic::*;
fn main() {
    for f in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&f).unwrap();
        let s = match load(&f, &text) { Ok(s) => s, Err(e) => { println!("{e}"); continue } };
        for c in &s.cases {
            let camp = Campaign { scenario: &s, machine: s.machine.changed(&c.machine), kernel: s.kernel.changed(&c.kernel).resolve(), strategy: c.explore.strategy.into(), seed: 0, runs: 20000, jobs: 1 };
            match camp.explore(Goal::First(&|_| true), &AtomicBool::new(false), &|_| ()) {
                Err(e) => println!("{e}"),
                Ok(e) => { 
                    for f in e.found.iter().take(5) { 
                        let t = std::time::Instant::now();
                        println!("=== {} {}", s.name, c.name);
                        let t0 = camp.trace(f.run).unwrap(); 
                        let w = camp.world().unwrap(); let mut ex = w.executor();
                        let (a,b) = (t0.switches(), t0.decisions.len());
                        let t1 = simplify(&w, &mut ex, t0);
                        println!("{} {} -> {} {} in {:?}", a,b,t1.switches(), t1.decisions.len(), t.elapsed());
                        println!("{}", explain(&w, &t1, &t1.findings[0]));
                    }
                }
            }
        }
    }
}
