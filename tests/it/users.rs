//! Several users of one machine.
#![expect(clippy::disallowed_methods, reason = "tests start the program as a user does")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::PROGRAM;

/// `nobody` of most systems; any user but root would do.
const OTHER: u32 = 65534;

const PIPELINE: &str = "name = \"turns\"\n[stages.alone]\nexclusive = true\ninputs = []\n\
    run = \"touch begun; while ! test -e go; do sleep 0.01; done\"\n";

/// A project of a user in a folder that all can reach.
struct Owned {
    root: PathBuf,
    uid: u32,
}

impl Owned {
    fn new(shared: &Path, uid: u32) -> Self {
        let root = shared.join(format!("of-{uid}"));
        fs::create_dir_all(&root).expect("a folder");
        fs::write(root.join("p.toml"), PIPELINE).expect("written");
        chown(&root, Some(uid), Some(uid)).expect("root may");
        Self { root, uid }
    }

    fn start(&self, leases: &Path, flags: &[&str]) -> Child {
        let program = leases.with_file_name("optloop");
        // The umask of the careful, which takes everything from all others.
        Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" \"$@\""])
            .arg(program)
            .args(["pipeline", "p.toml"])
            .args(flags)
            .current_dir(&self.root)
            .env("OPTLOOP_LEASE_DIR", leases)
            .env("TMPDIR", &self.root)
            .env("HOME", &self.root)
            .uid(self.uid)
            .gid(self.uid)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    fn wait_for(&self, name: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.root.join(name).exists() {
            assert!(Instant::now() < deadline, "{name} does not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn go(&self) {
        fs::write(self.root.join("go"), "").expect("written");
    }
}

fn ended(child: Child) -> (Option<i32>, String) {
    let done = child.wait_with_output().expect("a child");
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[test]
fn users_of_one_machine_take_turns_whoever_comes_first() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can be two users");
        return;
    }
    for (first, second) in [(0, OTHER), (OTHER, 0)] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let shared = dir.path();
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        };
        open(shared, 0o755);
        let leases = shared.join("leases");
        fs::create_dir(&leases).expect("a folder");
        open(&leases, 0o1777);
        fs::copy(PROGRAM, shared.join("optloop")).expect("copied");
        open(&shared.join("optloop"), 0o755);
        let (one, two) = (Owned::new(shared, first), Owned::new(shared, second));

        let holder = one.start(&leases, &[]);
        one.wait_for("begun");
        let lock = leases.join("optloop-cpu.lock").metadata().expect("the lock");
        assert_eq!((lock.mode() & 0o777, lock.uid()), (0o666, first));
        let (code, told) = ended(two.start(&leases, &["--no-wait"]));
        assert_eq!(code, Some(75), "{told}");
        let who = format!("in use by pid {}", holder.id());
        assert!(told.contains(&who) && !two.root.join("begun").exists(), "{told}");
        let waiting = two.start(&leases, &[]);
        one.go();
        two.go();
        assert_eq!(ended(holder).0, Some(0));
        let (code, told) = ended(waiting);
        assert_eq!(code, Some(0), "{told}");
        two.wait_for("begun");

        // A lock that its maker keeps to himself: said with what helps, and not "try again".
        drop(fs::remove_file(leases.join("optloop-cpu.lock")));
        fs::write(leases.join("optloop-cpu.lock"), "").expect("written");
        open(&leases.join("optloop-cpu.lock"), 0o600);
        let other = if first == OTHER { &one } else { &two };
        let (code, told) = ended(other.start(&leases, &["--rerun"]));
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("the lease of cpu cannot be had"), "{told}");
        assert!(told.contains("help: have ") && told.contains("OPTLOOP_LEASE_DIR"), "{told}");
    }
}
