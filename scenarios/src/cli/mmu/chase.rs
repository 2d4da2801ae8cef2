//! `mmsim mmu chase`: what an access costs against the number of pages that a pointer chase goes over.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sim_mmu::{Profile, Spent};

use super::{Exit, Failure, Output};
use crate::cli::output::{HEAD, styled};
use crate::hardware::account;
use crate::hardware::chase::{Capacity, Chase, MOST, PageSize, Point, capacities, sizes};
use crate::hardware::plot::{Mark, Plot};
use crate::hardware::profile::{self, Processor};
use crate::table::{Side, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The processor: zen5, skylake, golden-cove, or the path of a profile.
    #[arg(long, default_value = "zen5", value_name = "NAME|FILE")]
    profile: String,
    /// The size of the pages.
    #[arg(long, value_enum, default_value_t = Size::Base)]
    size: Size,
    /// The fewest pages.
    #[arg(long, default_value_t = 16, value_name = "PAGES",
          value_parser = clap::value_parser!(u64).range(1..=MOST))]
    from: u64,
    /// The most pages.
    #[arg(long, default_value_t = 16_384, value_name = "PAGES",
          value_parser = clap::value_parser!(u64).range(1..=MOST))]
    to: u64,
    /// Leaves out these paging-structure caches, to see what they are worth.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CACHES")]
    without: Vec<Structure>,
    /// What the order of the pages is drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also shows what the cycles of an access were spent on.
    #[arg(long)]
    cycles: bool,
    /// Also writes a plot; into `chase-PROFILE-SIZE.svg`, if no file is given.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "so clap says that an option may have a value")]
    svg: Option<Option<PathBuf>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Size {
    /// 4 KiB.
    #[value(name = "4k")]
    Base,
    /// 2 MiB.
    #[value(name = "2m")]
    Large,
}

impl Args {
    fn plot_file(&self, profile: &Profile) -> Option<PathBuf> {
        let size = match self.size {
            Size::Base => "4k",
            Size::Large => "2m",
        };
        // A profile of the user may have any name.
        let name = profile.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let usual = || PathBuf::from(format!("chase-{name}-{size}.svg"));
        self.svg.clone().map(|file| file.unwrap_or_else(usual))
    }
}

/// A paging-structure cache, under the name of the entries that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Structure {
    Pde,
    Pdpte,
    Pml4e,
}

/// The processor that the arguments name.
fn processor(args: &Args) -> Result<(Rc<Profile>, String), Failure> {
    let Processor { profile, about } = profile::open(&args.profile).map_err(Failure::bad_input)?;
    if args.without.is_empty() {
        return Ok((profile, about));
    }
    let mut changed = Profile::clone(&profile);
    for cache in &args.without {
        match cache {
            Structure::Pde => changed.structure.pde = None,
            Structure::Pdpte => changed.structure.pdpte = None,
            Structure::Pml4e => changed.structure.pml4e = None,
        }
    }
    let names: Vec<String> = args
        .without
        .iter()
        .filter_map(|cache| Some(clap::ValueEnum::to_possible_value(cache)?.get_name().to_uppercase()))
        .collect();
    Ok((Rc::new(changed), format!("{about}, without caches of {}", names.join(", "))))
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<Exit, Failure> {
    if args.from > args.to {
        let message = format!("--from {} is more than --to {}", args.from, args.to);
        return Err(Failure { exit: Exit::Usage, message });
    }
    let (profile, about) = processor(args)?;
    let size = match args.size {
        Size::Base => PageSize::Base,
        Size::Large => PageSize::Large,
    };
    let capacities = capacities(&profile, size);
    let chase = Chase { size, seed: args.seed };
    let numbers = sizes(&profile, size, args.from, args.to);
    let bar = output.progress("chase", numbers.len() as u64);
    let measure = |pages| {
        bar.inc(1);
        chase.run(&profile, pages)
    };
    let points: Vec<Point> = numbers.into_iter().map(measure).collect();
    bar.finish_and_clear();
    output.text(&format!("{about}: a pointer chase over pages of {}", bytes(size.bytes())));
    tell(&points, &capacities, &profile, size, output);
    if args.cycles {
        tell_cycles(&points, output);
    }
    let file = args.plot_file(&profile);
    output.json(&document(file.as_deref(), args.seed, &about, &profile, size, &capacities, &points));
    if let Some(file) = &file {
        let svg = plot(&about, &profile, size, &capacities, &points).svg();
        let unwritable = |error| Failure::bad_input(format!("{}: {error}", file.display()));
        write(file, &svg).map_err(unwritable)?;
        output.text(&format!("\nplot: {}", file.display()));
    }
    Ok(Exit::AsExpected)
}

fn tell(points: &[Point], capacities: &[Capacity], profile: &Profile, size: PageSize, output: &mut Output) {
    let mut table = Table::new(0, [Side::Right; 7].into_iter().chain([Side::Left]));
    table.row(["pages", "memory", "cycles", "ns", "L2 TLB", "walks", "loads/walk", ""].map(str::to_owned));
    for point in points {
        let walks = point.account.walks();
        let loads = match walks {
            0 => String::new(),
            walks => format!("{:.2}", point.account.walk_loads() as f64 / walks as f64),
        };
        let full = capacities.iter().filter(|capacity| capacity.pages == point.pages);
        let remarks: Vec<String> = full.map(|capacity| format!("{} full", capacity.of)).collect();
        table.row([
            point.pages.to_string(),
            bytes(point.pages * size.bytes()),
            format!("{:.2}", point.cycles()),
            format!("{:.2}", nanoseconds(point.cycles(), profile)),
            format!("{:.1}%", 100.0 * point.times(Spent::TlbL2)),
            format!("{:.1}%", 100.0 * walks as f64 / point.accesses as f64),
            loads,
            remarks.join(", "),
        ]);
    }
    let mut lines = table.lines().into_iter();
    lines.by_ref().take(1).for_each(|head| output.text(&styled(HEAD, &head)));
    lines.for_each(|line| output.text(&line));
    for capacity in capacities {
        let at = |pages| points.iter().find(|point| point.pages == pages);
        if let (Some(full), Some(over)) = (at(capacity.pages), at(capacity.pages + 1)) {
            output.text(&format!(
                "{}: {:.2} cycles at {} pages, {:.2} at {}{}",
                capacity.of,
                full.cycles(),
                full.pages,
                over.cycles(),
                over.pages,
                at(capacity.overrun)
                    .filter(|_| capacity.overrun > capacity.pages + 1)
                    .map_or_else(String::new, |all| format!(", {:.2} at {}", all.cycles(), all.pages))
            ));
        }
    }
}

/// The most columns that stand side by side in the breakdown, because more are hard to read.
const COLUMNS: usize = 10;

fn tell_cycles(points: &[Point], output: &mut Output) {
    let mut shown: Vec<&Point> = Vec::new();
    for point in points {
        if shown.last().is_none_or(|last| (point.cycles() - last.cycles()).abs() >= 1.0) {
            shown.push(point);
        }
    }
    shown.extend(points.last());
    shown.dedup_by_key(|point| point.pages);
    let columns: Vec<_> =
        shown.iter().map(|point| (point.pages.to_string(), &point.account, point.accesses)).collect();
    output.text(&styled(HEAD, "\nwhat the cycles of an access went to, by pages"));
    for (i, columns) in columns.chunks(COLUMNS).enumerate() {
        if i > 0 {
            output.text("");
        }
        for line in account::table(columns) {
            output.text(&line);
        }
    }
}

fn document(
    file: Option<&Path>,
    seed: u64,
    about: &str,
    profile: &Profile,
    size: PageSize,
    capacities: &[Capacity],
    points: &[Point],
) -> serde_json::Value {
    let point = |point: &Point| {
        serde_json::json!({
            "pages": point.pages, "bytes": point.pages * size.bytes(), "accesses": point.accesses,
            "cycles": point.cycles(), "ns": nanoseconds(point.cycles(), profile),
            "tlb_l2": point.account.times(Spent::TlbL2), "walks": point.account.walks(),
            "walk_loads": point.account.walk_loads(), "account": account::json(&point.account),
        })
    };
    let capacity = |capacity: &Capacity| {
        serde_json::json!({
            "of": capacity.of, "pages": capacity.pages, "overrun": capacity.overrun, "tlb": capacity.is_tlb,
        })
    };
    serde_json::json!({
        "profile": profile.name, "about": about, "mhz": profile.mhz, "page_bytes": size.bytes(), "seed": seed,
        "capacities": capacities.iter().map(capacity).collect::<Vec<_>>(),
        "points": points.iter().map(point).collect::<Vec<_>>(),
        "svg": file.map(|file| file.display().to_string()),
    })
}

fn plot(about: &str, profile: &Profile, size: PageSize, capacities: &[Capacity], points: &[Point]) -> Plot {
    let mark = |capacity: &Capacity| Mark {
        at: capacity.pages,
        label: format!("{} {}", capacity.of, capacity.pages),
        main: capacity.is_tlb,
    };
    Plot {
        title: format!("Pointer chase over {} pages: {}", bytes(size.bytes()), profile.name),
        subtitle: format!("{about}. Simulated; one line a page, random order, average of a warm round."),
        x: "pages".to_owned(),
        below: match size {
            PageSize::Base => |pages| bytes(pages * PageSize::Base.bytes()),
            PageSize::Large => |pages| bytes(pages * PageSize::Large.bytes()),
        },
        y: "cycles".to_owned(),
        right: ("ns".to_owned(), nanoseconds(1.0, profile)),
        points: points.iter().map(|point| (point.pages, point.cycles())).collect(),
        marks: capacities.iter().map(mark).collect(),
    }
}

/// Writes a file. The file is complete, or it is not written at all.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    // If a pipe or a device is at that place, a file must not replace it.
    if file.metadata().is_ok_and(|found| !found.is_file()) {
        return std::fs::write(file, text);
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn nanoseconds(cycles: f64, profile: &Profile) -> f64 {
    cycles * 1000.0 / f64::from(profile.mhz)
}

/// A number of bytes in the largest unit of which it is a multiple, or nearly one.
fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x10_0000 => (10, "KiB"),
        0x10_0000..0x4000_0000 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    let whole = bytes >> unit;
    let tenths = ((bytes - (whole << unit)) * 10) >> unit;
    if tenths == 0 { format!("{whole} {name}") } else { format!("{whole}.{tenths} {name}") }
}
