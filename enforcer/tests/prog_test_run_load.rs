//! The programs load.
use aya::{
    EbpfLoader,
    programs::{ProgramError, SchedClassifier},
};
use netpol_enforcer::{object::OBJECT, test_run};
#[test]
fn loads() {
    let mut ebpf = EbpfLoader::new().load(OBJECT).expect("load");
    for name in netpol_enforcer_common::programs::ALL {
        let p: &mut SchedClassifier = ebpf.program_mut(name).expect(name).try_into().expect(name);
        let t = std::time::Instant::now();
        match p.load() {
            Ok(()) => {}
            Err(ProgramError::LoadError { io_error, verifier_log }) => {
                let s = verifier_log.to_string();
                panic!("{name}: {io_error}\n{}", &s[s.len().saturating_sub(6000)..]);
            }
            Err(e) => panic!("{name}: {e}"),
        }
        let i = p.info().unwrap();
        println!(
            "{name}: {:?} verified {:?} xlated {:?} jited {}",
            t.elapsed(),
            i.verified_instruction_count(),
            i.size_translated(),
            i.size_jitted()
        );
        println!("{:?}", test_run::run(p, &[0; 64], test_run::Surroundings::default(), 1));
    }
}
