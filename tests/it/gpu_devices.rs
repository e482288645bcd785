//! Devices behind Vulkan, Mesa's software driver among them: what answers, what is refused, what fails while it works.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;

use burn::tensor::{Device, DeviceKind, Tensor};
use pipe::exec::{Answering, Choice, RunError, answering, choose, on_device, without_bf16};

use crate::cli::{TINY, pipe};

fn vulkan() -> Vec<Answering> {
    let all: Vec<Answering> = answering().into_iter().filter(|one| matches!(one.device, Choice::Vulkan(_))).collect();
    if all.is_empty() {
        eprintln!("skipped: no Vulkan driver answers");
    }
    all
}

fn told(error: RunError) -> String {
    match error {
        RunError::Failed { what, help } => format!("{what}; {}", help.unwrap()),
        other @ (RunError::Interrupted | RunError::Problems(_)) => panic!("{other:?}"),
    }
}

#[test]
fn gpu_what_answers_is_taken_and_what_is_no_gpu_is_refused() {
    for (number, one) in vulkan().into_iter().enumerate() {
        assert_eq!(one.device, Choice::Vulkan(number));
        assert!(!one.name.is_empty() && !one.name.contains("does not open"), "{one:?}");
        match choose(one.device) {
            Ok((choice, _)) => assert!(!one.software && choice == one.device),
            Err(error) => {
                assert!(one.software, "{one:?}");
                assert!(told(error).contains("computes on the processor"));
                let device = Device::vulkan(DeviceKind::DefaultDevice);
                assert!(without_bf16(one.device, &device).is_some(), "no arithmetic in bfloat16 through Vulkan");
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join("tiny.pipe"), TINY).unwrap();
                let arguments = ["run", "tiny.pipe", "--device", &one.device.to_string()];
                pipe(folder.path(), &arguments).ends(3).says("--device cpu");
            }
        }
    }
    // auto takes nothing of Vulkan's, GPU or not
    assert!(!matches!(choose(Choice::Auto).unwrap().0, Choice::Vulkan(_)));
}

#[test]
fn gpu_memory_that_runs_out_is_told_and_the_process_lives() {
    if vulkan().is_empty() {
        return;
    }
    let device = Device::vulkan(DeviceKind::DefaultDevice);
    // four TB
    let work = || Tensor::<1>::ones([1_usize << 40], &device).into_data();
    let error = on_device(Choice::Vulkan(0), work, || "halve the batch".to_owned()).unwrap_err();
    let words = told(error);
    assert!(words.starts_with("the memory of vulkan(0) ran out: ") && words.ends_with("; halve the batch"), "{words}");
}
