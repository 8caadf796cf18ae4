//! Proves the table of guards, and runs the mutation check. Both take long, and go on where they were
//! stopped.

use std::fs::File;
use std::path::{Path, PathBuf};

use amp_guards::mutant::{self, Check, Fate, PAGE, explained};
use amp_guards::prove::{Prover, Verdict};
use amp_guards::sources::Sources;
use amp_guards::{table, workspace};
use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// The guards of the AMP program: take each out and see its tests fail.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Where copies of the sources are built; kept for the next time.
    #[arg(long, global = true, env = "AMP_GUARDS_DIR")]
    dir: Option<PathBuf>,
    /// Only what has this in its name; may be given more than once.
    #[arg(long, global = true)]
    only: Vec<String>,
    /// Only list the names.
    #[arg(long, global = true)]
    list: bool,
    /// How many are built at a time, each in a folder of its own.
    #[arg(long, global = true, default_value_t = 1)]
    jobs: usize,
}

#[derive(Subcommand)]
enum What {
    /// Proves every row of tests/guards/table.
    Prove {
        /// Prove again what was proven of the same sources.
        #[arg(long)]
        fresh: bool,
    },
    /// Changes the program and its rules in every way that cargo-mutants knows.
    Mutants,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.dir.clone().unwrap_or_else(|| std::env::temp_dir().join("amp-guards"));
    std::fs::create_dir_all(&folder)?;
    match arguments.what {
        What::Prove { fresh } => prove(&arguments, &folder, fresh),
        What::Mutants => mutants(&arguments, &folder),
    }
}

fn prove(arguments: &Arguments, folder: &Path, fresh: bool) -> Result<()> {
    let table = table::load(&workspace())?;
    if arguments.list {
        table
            .iter()
            .flat_map(|section| &section.guard)
            .for_each(|guard| println!("{}: {}", guard.id, guard.says));
        return Ok(());
    }
    let _alone = alone(folder, "guards")?;
    let verdicts =
        Prover::new(&workspace(), folder)?.prove(&table, &arguments.only, arguments.jobs, fresh)?;
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| wanted(verdict)).count();
    println!(
        "\n{} guards: {} proven, {} out of reach, {} not proven",
        verdicts.len(),
        count(|verdict| matches!(verdict, Verdict::Proven(_))),
        count(|verdict| matches!(verdict, Verdict::OutOfReach)),
        count(|verdict| matches!(verdict, Verdict::NotProven(_))),
    );
    let mut all_proven = true;
    for (guard, verdict) in &verdicts {
        if let Verdict::NotProven(why) = verdict {
            println!("  {}: {why}", guard.id);
            all_proven = false;
        }
    }
    ensure!(all_proven, "not every guard is proven");
    Ok(())
}

fn mutants(arguments: &Arguments, folder: &Path) -> Result<()> {
    let chosen =
        |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| name.contains(only));
    if arguments.list {
        let mutants = mutant::list(&workspace(), &Sources::read(&workspace())?)?;
        mutants.iter().filter(|mutant| chosen(&mutant.name)).for_each(|mutant| println!("{}", mutant.name));
        return Ok(());
    }
    let _alone = alone(folder, "mutants")?;
    let check = Check::new(&workspace(), folder)?;
    let mutants: Vec<_> = check.list()?.into_iter().filter(|mutant| chosen(&mutant.name)).collect();
    let explained = explained(&workspace())?;
    let fates = check.fates(&mutants, arguments.jobs)?;
    let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
    let noticed = count(|fate| matches!(fate, Fate::Noticed(_)));
    let unviable = count(|fate| *fate == Fate::Unviable);
    let pairs = mutants.iter().zip(&fates);
    let lives: Vec<_> =
        pairs.filter(|(_, fate)| **fate == Fate::Lives).map(|(mutant, _)| mutant.name.clone()).collect();
    let unexplained: Vec<_> = lives.iter().filter(|name| !explained.contains(*name)).collect();
    let stale: Vec<_> = explained.iter().filter(|name| chosen(name) && !lives.contains(name)).collect();
    println!(
        "\n{} mutants: {noticed} noticed by a test, {unviable} do not compile, {} live, {} of them not explained in {PAGE}",
        mutants.len(),
        lives.len(),
        unexplained.len(),
    );
    unexplained.iter().for_each(|name| println!("  lives: {name}"));
    stale.iter().for_each(|name| println!("  explained, and yet it does not live: {name}"));
    ensure!(unexplained.is_empty() && stale.is_empty(), "the mutants that live are not those of {PAGE}");
    Ok(())
}

/// Two runs would change the same copies.
fn alone(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(format!("{name}.lock"));
    let file = File::create(&path)?;
    file.try_lock().with_context(|| format!("another run has {}", path.display()))?;
    Ok(file)
}
