//! `holdfast-kernels`: measures the kernels of the content engine, and says what limit they set.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use holdfast_kernels::instructions::{self, LENGTH};
use holdfast_kernels::{Composition, Figures, Kernel, Rates, instruction_sets, least_seconds};

const USAGE: &str = "\
holdfast-kernels measure [--json] [--work FOLDER]
    MB/s of each kernel, with one processor and with all. Files are written below FOLDER (default: target/bench), which
    should be on the disk that is of interest, and removed again
holdfast-kernels limit SOURCE [--work FOLDER]
    measures, and prints the least seconds for a backup, check and restore of the files in SOURCE
holdfast-kernels count KERNEL PASSES
    runs a kernel over a small input, for who counts instructions: chunk, hash, probe, compress, seal, open, decompress, copy
holdfast-kernels record
    counts the instructions of all kernels and writes them to bench/kernels/baseline.json; needs valgrind";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Measure { json: bool, work: PathBuf },
    Limit { source: PathBuf, work: PathBuf },
    Count { kernel: Kernel, passes: u32 },
    Record,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let task = match parse(&words) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Measure { json, work } => measure(json, &work),
        Task::Limit { source, work } => limit(&source, &work),
        Task::Count { kernel, passes } => count(kernel, passes),
        Task::Record => record(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[String]) -> Result<Task, String> {
    let Some((verb, rest)) = words.split_first() else {
        return Err("what shall be measured?".to_owned());
    };
    let mut work = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    let (mut json, mut operands) = (false, Vec::new());
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match (verb.as_str(), word.as_str()) {
            ("measure", "--json") => json = true,
            ("measure" | "limit", "--work") => work = rest.next().ok_or("--work wants a value")?.into(),
            ("limit" | "count", operand) if !operand.starts_with('-') => operands.push(operand),
            _ => return Err(format!("\"{word}\" is not understood here")),
        }
    }
    match (verb.as_str(), operands.as_slice()) {
        ("measure", []) => Ok(Task::Measure { json, work }),
        ("limit", [source]) => Ok(Task::Limit {
            source: source.into(),
            work,
        }),
        ("count", [name, passes]) => {
            let mut all = Kernel::ALL.into_iter();
            Ok(Task::Count {
                kernel: all
                    .find(|kernel| kernel.name() == *name)
                    .ok_or_else(|| format!("\"{name}\" is no kernel"))?,
                passes: passes.parse().map_err(|_| format!("\"{passes}\" is no number"))?,
            })
        }
        ("record", []) => Ok(Task::Record),
        ("limit" | "count", _) => Err(format!("{verb} wants other words")),
        _ => Err(format!("\"{verb}\" is not understood")),
    }
}

fn figures(work: &Path) -> Result<Figures, String> {
    Figures::measure(work).map_err(|error| error.to_string())
}

fn measure(json: bool, work: &Path) -> Result<(), String> {
    let figures = figures(work)?;
    if json {
        let json = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        println!("{json}");
    } else {
        print!("{}\n\n{}", figures.machine, figures.markdown());
    }
    Ok(())
}

fn limit(source: &Path, work: &Path) -> Result<(), String> {
    let set = Composition::of(source).map_err(|error| error.to_string())?;
    let figures = figures(work)?;
    println!("{}\n\n{}", figures.machine, figures.markdown());
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{}: {} files, {:.0} MB that compress to {:.0} MB, {:.0} MB of noise\n",
        source.display(),
        set.files,
        mb(set.compressible),
        mb(set.compressed),
        mb(set.noise)
    );
    println!("| least seconds | backup | check | restore |\n| --- | --- | --- | --- |");
    let row = |name: &str, rates: &Rates| {
        let least = least_seconds(rates, &set);
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} |",
            least.backup, least.check, least.restore
        );
    };
    row("one processor", &figures.one);
    row(&format!("{} processors", figures.all.processors), &figures.all);
    Ok(())
}

fn count(kernel: Kernel, passes: u32) -> Result<(), String> {
    let mut pass = kernel.prepare(1, LENGTH).map_err(|error| error.to_string())?;
    for _ in 0..passes {
        pass().map_err(|error| error.to_string())?;
    }
    println!("{}", instruction_sets());
    Ok(())
}

fn record() -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err(
            "this was not built for release: `cargo run --release --package holdfast-kernels -- record`".to_owned(),
        );
    }
    let program = std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
    instructions::record(&program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn documented_command_lines_are_understood() {
        assert!(matches!(parsed("measure --json"), Ok(Task::Measure { json: true, .. })));
        let limit = Task::Limit {
            source: "a".into(),
            work: "b".into(),
        };
        assert_eq!(parsed("limit a --work b"), Ok(limit));
        for kernel in Kernel::ALL {
            let line = format!("count {} 2", kernel.name());
            assert_eq!(parsed(&line), Ok(Task::Count { kernel, passes: 2 }));
            assert!(USAGE.contains(kernel.name()));
        }
        assert_eq!(parsed("record"), Ok(Task::Record));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("measure --fast", "--fast"),
            ("disk", "disk"),
            ("count zip 1", "zip"),
            ("count seal often", "often"),
            ("count seal", "count"),
            ("record all", "all"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
