//! Training: optimisers against their formulas, and whole folds on small phantoms.
#![expect(clippy::unwrap_used, reason = "tests")]

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use pipe::study::Optimizer;
use pipe::train::TorchOptimizer;
use serde_json::Value;

// --------------------------------------------------------------------------------------- optimisers

#[derive(Module, Debug)]
struct Two {
    x: Param<Tensor<2>>,
    y: Param<Tensor<1>>,
    frozen: Param<Tensor<1>>,
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn rule(case: &Value) -> Optimizer {
    let number = |name: &str| case[name].as_f64().unwrap();
    let (lr, weight_decay) = (number("lr"), number("weight_decay"));
    match case["rule"].as_str().unwrap() {
        "adam" => Optimizer::Adam { lr, weight_decay },
        "adamw" => Optimizer::AdamW { lr, weight_decay },
        "nadam" => Optimizer::NAdam { lr, weight_decay },
        "sgd" => {
            let nesterov = case["nesterov"].as_bool().unwrap();
            Optimizer::Sgd { lr, momentum: number("momentum"), nesterov, weight_decay }
        }
        "rms_prop" => Optimizer::RmsProp { lr, alpha: number("alpha"), momentum: number("momentum"), weight_decay },
        other => panic!("a rule called {other}"),
    }
}

fn vector(values: &Value, device: &Device) -> Tensor<1> {
    let values = floats(values);
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn quadratic(at: Tensor<1>, slope: &Value, centre: &Value) -> Tensor<1> {
    let device = at.device();
    let away = at - vector(centre, &device);
    (vector(slope, &device) * away.clone() * away).sum() * 0.5
}

#[test]
fn train_optimizers_equal_the_formulas_of_torch() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/train/optimizers.json")).unwrap();
    let device = Device::flex().autodiff();
    for case in file["cases"].as_array().unwrap() {
        let mut module = Two {
            x: Param::from_tensor(vector(&file["x"], &device).reshape([2, 3])),
            y: Param::from_tensor(vector(&file["y"], &device)),
            frozen: Param::from_tensor(Tensor::from_floats([1.25, -2.0], &device)).set_require_grad(false),
        };
        let rule = rule(case);
        let mut optimizer = TorchOptimizer::new(rule, case.get("clip").map(|clip| clip.as_f64().unwrap()));
        for _ in 0..file["steps"].as_u64().unwrap() {
            let loss = quadratic(module.x.val().reshape([6]), &file["a"], &file["b"])
                + quadratic(module.y.val(), &file["c"], &file["d"])
                + module.frozen.val().sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &module);
            module = optimizer.step(rule.learning_rate(), module, gradients);
        }
        let seen = [module.x.val().reshape([6]).into_data(), module.y.val().into_data()];
        for (seen, expected) in seen.iter().zip([&case["x"], &case["y"]]) {
            for (a, b) in seen.iter::<f32>().zip(floats(expected)) {
                assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{case}: {a} is not {b}");
            }
        }
        let frozen: Vec<f32> = module.frozen.val().into_data().iter::<f32>().collect();
        assert_eq!(frozen, [1.25, -2.0], "a frozen parameter moved or decayed");
    }
}
