//! `pipe new`: what it finds in tables and folders, that `pipe check` accepts it at once, and what it says where not.

use std::fs;
use std::path::Path;

use crate::cli::{picture, pipe, root, table_study};
use crate::corpus::folder;

/// Proposes a study of a table and reads it back.
fn proposed(folder: &Path, arguments: &[&str]) -> String {
    pipe(folder, &[&["new"], arguments].concat()).ends(0);
    let text = fs::read_to_string(folder.join("study.pipe")).unwrap();
    pipe(folder, &["check", "study.pipe"]).ends(0);
    pipe(folder, &["fmt", "--check", "study.pipe"]).ends(0);
    text
}

/// Of data that name no patients: the study waits for somebody to say who they are.
fn waits(folder: &Path, arguments: &[&str]) -> String {
    pipe(folder, &[&["new"], arguments].concat()).ends(1).says("E0301").says("written; 1 error");
    let text = fs::read_to_string(folder.join("study.pipe")).unwrap();
    pipe(folder, &["fmt", "--check", "study.pipe"]).ends(0);
    let said = text.replace("data {", "data {\n    group = none(because = \"one film each by protocol\")");
    fs::write(folder.join("said.pipe"), said).unwrap();
    pipe(folder, &["check", "said.pipe"]).ends(0);
    text
}

#[test]
fn columns_are_found_by_name_and_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    // the images lie in a folder of their own, which the table does not name
    let text = proposed(folder.path(), &["--table", "labels.csv"]);
    for line in [
        "table = csv(\"labels.csv\")",
        "image = file(`image`, under = \"images\")    # all 24 looked up are there",
        "label = `label`",
        "group = `patient`",
        "# 12 patients, up to 2 images each",
        "split { cv = stratified_group_kfold(5) }",
    ] {
        let found = text.lines().any(|had| had.split_whitespace().collect::<String>().contains(&line.replace(' ', "")));
        assert!(found, "`{line}` is not in\n{text}");
    }
}

#[test]
fn several_labels_ages_views_and_rare_classes_are_seen() {
    let at = tempfile::tempdir().unwrap();
    let mut table =
        String::from("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n");
    let labels = ["Atelectasis", "No Finding", "Atelectasis|Effusion", "Effusion", "No Finding"];
    for n in 0..40_usize {
        let label = if n == 39 { "Hernia" } else { labels[n % 5] };
        table += &format!(
            "{n:03}.png,{label},0,{},{},{},{}\n",
            1000 + n / 2,
            30 + n,
            ["M", "F"][n % 2],
            ["PA", "AP"][n % 2]
        );
        fs::write(at.path().join(format!("{n:03}.png")), picture(n)).unwrap();
    }
    fs::write(at.path().join("nih.csv"), table).unwrap();
    let text = proposed(at.path(), &["--question", "Is it \"quoted\"?"]);
    for words in [
        "question = \"Is it \\\"quoted\\\"?\"",
        "`Image Index`",
        "`Finding Labels`",
        "`Patient ID`",
        "split_on = \"|\", when_many = drop, when_other = drop",
        "# 8 rows have several",
        "[\"Atelectasis\", \"Effusion\", \"No Finding\"]",
        "left out, of one patient only: Hernia",
        "# keep = `Patient Age` in 18..=100",
        "# keep = `View Position` in [\"PA\", \"AP\"]",
    ] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
}

#[test]
fn missing_images_are_dropped_and_counted_and_no_patients_are_confessed() {
    let at = tempfile::tempdir().unwrap();
    let mut table = String::from("file,class\n");
    for n in 0..20_usize {
        table += &format!("{n}.png,{}\n", ["a", "b"][n % 2]);
        if n != 7 {
            fs::write(at.path().join(format!("{n}.png")), picture(n)).unwrap();
        }
    }
    fs::write(at.path().join("t.csv"), table).unwrap();
    let text = waits(at.path(), &["--table", "t.csv"]);
    assert!(text.contains("on_missing = drop") && text.contains("19 of 20 looked up are there"), "{text}");
    assert!(text.contains("until somebody says whose image each is"), "{text}");
}

#[test]
fn folders_of_classes_are_a_data_set() {
    let at = tempfile::tempdir().unwrap();
    for n in 0..12_usize {
        let class = at.path().join("films").join(["ill", "well"][n % 2]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{n}.png")), picture(n)).unwrap();
    }
    let text = waits(at.path(), &["--images", "films"]);
    assert!(text.contains("table = folder(\"films\")") && text.contains("# ill 6, well 6"), "{text}");
    pipe(at.path(), &["new", "--images", ".", "--force"]).ends(1).says("E0211");
}

#[test]
fn a_study_elsewhere_finds_its_table() {
    let at = tempfile::tempdir().unwrap();
    fs::create_dir_all(at.path().join("data")).unwrap();
    table_study(&at.path().join("data"));
    pipe(at.path(), &["new", "studies/first.pipe", "--table", "data/labels.csv"]).ends(0);
    let text = fs::read_to_string(at.path().join("studies/first.pipe")).unwrap();
    assert!(text.contains("csv(\"../data/labels.csv\")") && text.contains("under = \"../data/images\""), "{text}");
    pipe(at.path(), &["check", "studies/first.pipe"]).ends(0);
    pipe(at.path(), &["new", "other", "--table", "data/labels.csv"]).ends(0);
    assert!(at.path().join("other/study.pipe").is_file());
}

#[test]
fn nothing_is_written_over_and_what_cannot_be_told_is_asked_for() {
    let at = tempfile::tempdir().unwrap();
    table_study(at.path());
    fs::write(at.path().join("study.pipe"), "mine").unwrap();
    pipe(at.path(), &["new", "--table", "labels.csv"]).ends(2).says("--force writes over it");
    assert_eq!(fs::read_to_string(at.path().join("study.pipe")).unwrap(), "mine");
    pipe(at.path(), &["new", "--table", "labels.csv", "--force"]).ends(0);
    pipe(at.path(), &["new", "a.pipe", "--table", "gone.csv"]).ends(1).says("E0211");
    pipe(at.path(), &["new", "a.pipe", "--table", "labels.csv", "--label", "lable"])
        .ends(1)
        .says("did you mean `label`");
    fs::write(at.path().join("n.csv"), "a,b\n1,2\n3,4\n").unwrap();
    pipe(at.path(), &["new", "a.pipe", "--table", "n.csv"]).ends(1).says("--image NAME");
    // two tables and nobody to ask
    pipe(at.path(), &["new", "a.pipe"]).ends(2).says("--table labels.csv");
    assert!(!at.path().join("a.pipe").exists());
}

#[test]
fn of_a_table_that_is_too_small_no_class_is_left_out() {
    let at = tempfile::tempdir().unwrap();
    for n in 0..3_usize {
        fs::write(at.path().join(format!("{n}.png")), picture(n)).unwrap();
    }
    fs::write(at.path().join("t.csv"), "file,class,patient\n0.png,x,1\n1.png,x,2\n2.png,y,3\n").unwrap();
    let told = pipe(at.path(), &["new", "--table", "t.csv"]).ends(1).says("E0306");
    assert!(!told.err.contains("E0104"), "{}", told.err);
    let text = fs::read_to_string(at.path().join("study.pipe")).unwrap();
    assert!(!text.contains("classes =") && text.contains("x 2, y 1"), "{text}");
}

#[test]
fn a_column_a_finding_is_no_column_of_classes() {
    let at = tempfile::tempdir().unwrap();
    let table = "Path,Sex,Age,No Finding,Edema,Pneumonia\na.jpg,F,68,1,,0\nb.jpg,M,61,,1,-1\nc.jpg,F,55,,0,0\nd.jpg,M,44,,1,-1\n";
    fs::write(at.path().join("chex.csv"), table).unwrap();
    pipe(at.path(), &["new", "--table", "chex.csv"]).ends(1).says("--label NAME");
    assert!(!at.path().join("study.pipe").exists());
    // one alone is, and so is one that is asked for
    let one = "Path,Sex,Age,Pneumonia\na.jpg,F,68,0\nb.jpg,M,61,-1\nc.jpg,F,55,0\nd.jpg,M,44,-1\n";
    fs::write(at.path().join("one.csv"), one).unwrap();
    for arguments in [&["--table", "one.csv"][..], &["--table", "chex.csv", "--label", "Pneumonia", "--force"]] {
        pipe(at.path(), &[&["new"], arguments].concat()).ends(1);
        let text = fs::read_to_string(at.path().join("study.pipe")).unwrap();
        assert!(text.contains("`Pneumonia`"), "{text}");
    }
}

#[test]
fn tables_of_the_corpus_and_real_ones_are_understood() {
    let at = tempfile::tempdir().unwrap();
    let corpus = folder("data").join("people.csv");
    pipe(at.path(), &["new", "corpus.pipe", "--table", corpus.to_str().unwrap()]).ends(0);
    for (set, label, group) in [("cxr_kermany", "`label`", "`patient`"), ("cxr_nih", "`label`", "`patient`")] {
        let table = root().join("../shared/data").join(set).join("labels.csv");
        if !table.is_file() {
            println!("skipped: {} is not there", table.display());
            continue;
        }
        let name = format!("{set}.pipe");
        pipe(at.path(), &["new", &name, "--table", table.to_str().unwrap()]).ends(0);
        let text = fs::read_to_string(at.path().join(&name)).unwrap();
        assert!(text.contains(label) && text.contains(group) && text.contains("all 200 looked up are there"), "{text}");
    }
}
