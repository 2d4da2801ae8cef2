//! `cargo xtask shards`: runs a suite in one piece, by GNU parallel and by a Slurm array. All must give the same results.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The number of shards.
const SHARDS: u32 = 4;

/// Scenarios of every verdict, and the library.
const SUITE: &[&str] = &["scenarios/tests/suite", "--library", "--runs", "2000"];

/// Every format that is compared.
const FORMATS: &[&str] = &["text", "json", "jsonl", "ktap", "junit"];

/// How long the Slurm daemons may take to be ready, in tenths of a second.
const PATIENCE: u32 = 300;

/// Compares all ways. `true`, if none differs. If the programs for a way are not installed, it is skipped, with a message.
pub(crate) fn run(cargo: &str) -> io::Result<bool> {
    let mmsim = build(cargo)?;
    let folder = mmsim.with_file_name("shards");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    let whole = Way { mmsim: &mmsim, folder: &folder };
    for format in FORMATS {
        let output = Command::new(&mmsim).arg("test").args(SUITE).args(["--format", format]).output()?;
        fs::write(whole.output("whole", format), output.stdout)?;
    }
    let mut same = true;
    for (name, programs, divide) in [
        ("GNU parallel", &["parallel"][..], parallel as fn(&Way<'_>, &Path) -> io::Result<()>),
        ("Slurm", &["slurmctld", "slurmd", "sbatch", "sinfo"][..], slurm),
    ] {
        if let Some(missing) = programs.iter().find(|program| !installed(program)) {
            println!("{name}: skipped: {missing} is not installed");
            continue;
        }
        let word = programs[0];
        divide(&whole, &folder.join(word))?;
        let differs = |format: &&&str| -> bool {
            let read = |by| fs::read(whole.output(by, format)).unwrap_or_default();
            read("whole").is_empty() || read("whole") != read(word)
        };
        let different: Vec<&&str> = FORMATS.iter().filter(differs).collect();
        if different.is_empty() {
            println!("{name}: {SHARDS} shards, merged, are the whole to the byte in {}", FORMATS.join(", "));
        } else {
            println!("{name}: {different:?} differ from the whole; compare the files in {}", folder.display());
            same = false;
        }
    }
    Ok(same)
}

/// The program that is divided, and where its outputs go.
struct Way<'w> {
    mmsim: &'w Path,
    folder: &'w Path,
}

impl Way<'_> {
    fn output(&self, by: &str, format: &str) -> PathBuf {
        self.folder.join(format!("{by}.{format}"))
    }

    /// The command of a shard, as a shell takes it. `shard` is what stands for its number.
    fn shard(&self, shard: &str, parts: &Path) -> String {
        let (mmsim, parts) = (self.mmsim.display(), parts.display());
        format!("{mmsim} test {} --shard {shard}/{SHARDS} --out {parts}", SUITE.join(" "))
    }

    fn merge(&self, by: &str, parts: &Path) -> String {
        let merge = |format: &&str| {
            let (mmsim, parts, output) = (self.mmsim.display(), parts.display(), self.output(by, format));
            format!("{mmsim} merge {parts} --format {format} > {}", output.display())
        };
        FORMATS.iter().map(merge).collect::<Vec<_>>().join("; ")
    }
}

/// The recipe of docs/ci.md for GNU parallel.
fn parallel(way: &Way<'_>, parts: &Path) -> io::Result<()> {
    let numbers: Vec<String> = (1..=SHARDS).map(|number| number.to_string()).collect();
    // The exit code counts the shards in which something failed. It does not matter here.
    Command::new("parallel").args(["--will-cite", &way.shard("{}", parts), ":::"]).args(numbers).output()?;
    Command::new("sh").args(["-c", &way.merge("parallel", parts)]).output().map(drop)
}

/// The recipe of docs/ci.md for Slurm, on a cluster of this machine alone.
fn slurm(way: &Way<'_>, parts: &Path) -> io::Result<()> {
    let cluster = Cluster::start(&way.folder.join("cluster"))?;
    let log = way.folder.join("slurm-%A_%a.log").display().to_string();
    let array = format!("--array=1-{SHARDS}");
    let shard = way.shard("$SLURM_ARRAY_TASK_ID", parts);
    let job = cluster.submit(&[&array, "--output", &log, "--wrap", &shard])?;
    let after = format!("--dependency=afterany:{job}");
    cluster.submit(&[&after, "--wait", "--output", &log, "--wrap", &way.merge("slurmctld", parts)]).map(drop)
}

/// A Slurm cluster of one node, without accounts or keys, for as long as this value lives.
struct Cluster {
    configuration: PathBuf,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start(folder: &Path) -> io::Result<Cluster> {
        fs::create_dir_all(folder.join("state"))?;
        fs::create_dir_all(folder.join("spool"))?;
        let configuration = folder.join("slurm.conf");
        File::create(&configuration)?.write_all(configure(folder)?.as_bytes())?;
        let mut cluster = Cluster { configuration, daemons: Vec::new() };
        for daemon in ["slurmctld", "slurmd"] {
            let log = File::create(folder.join(format!("{daemon}.log")))?;
            let child = cluster.command(daemon).arg("-D").stdout(Stdio::null()).stderr(log).spawn()?;
            cluster.daemons.push(child);
        }
        for _ in 0..PATIENCE {
            let nodes = cluster.command("sinfo").args(["--noheader", "--format=%T"]).output()?;
            if said(&nodes) == "idle" {
                return Ok(cluster);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other(format!("the Slurm node is not idle; see the logs in {}", folder.display())))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", &self.configuration);
        command
    }

    /// Submits a job; answers its number.
    fn submit(&self, args: &[&str]) -> io::Result<String> {
        let output = self.command("sbatch").arg("--parsable").args(args).output()?;
        match said(&output) {
            job if job.is_empty() => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
            job => Ok(job),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            drop(daemon.kill().and_then(|()| daemon.wait()));
        }
    }
}

fn configure(folder: &Path) -> io::Result<String> {
    let (host, user) = (said(&Command::new("hostname").output()?), said(&Command::new("id").arg("-un").output()?));
    // Both are open at once, so that they differ.
    let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let (controller, node) = (ports[0].local_addr()?.port(), ports[1].local_addr()?.port());
    let folder = folder.display();
    Ok(format!(
        "ClusterName=shards\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
         SlurmUser={user}\nSlurmdUser={user}\nAuthType=auth/none\nCredType=cred/none\nMailProg=/bin/true\n\
         StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n\
         SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\nReturnToService=2\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN\n\
         PartitionName=all Nodes=ALL Default=YES State=UP\n"
    ))
}

/// Builds the program; answers where it is.
fn build(cargo: &str) -> io::Result<PathBuf> {
    let args = ["build", "--release", "--package", "mmsim", "--bin", "mmsim", "--message-format=json"];
    let output = Command::new(cargo).args(args).stderr(Stdio::inherit()).output()?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = messages.rsplit_once("\"executable\":\"").and_then(|(_, rest)| rest.split_once('"'));
    match last {
        Some((path, _)) if output.status.success() => Ok(PathBuf::from(path)),
        _ => Err(io::Error::other("the program could not be built")),
    }
}

fn installed(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
