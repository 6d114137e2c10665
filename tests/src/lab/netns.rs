//! A network namespace that nobody else can see.
//!
//! It has no name: an open file descriptor is all that holds it. When this process ends, in whatever way, the
//! kernel removes the namespace and every interface, route and firewall rule in it. A killed test leaves nothing behind.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A network namespace, held by a file descriptor of this process.
#[derive(Debug)]
pub struct NetNs {
    name: String,
    net: Arc<OwnedFd>,
    /// A mount namespace of its own, where `/sys` shows this network namespace and holds a private bpf file system.
    mounts: Option<Arc<OwnedFd>>,
}

impl NetNs {
    /// Makes an empty network namespace. `name` only serves messages.
    ///
    /// # Errors
    /// Without the permission to make namespaces (root), or when the kernel refuses.
    pub fn new(name: &str) -> Result<Self> {
        let net = in_new_thread(|| -> Result<OwnedFd> {
            unshare(UnshareFlags::NEWNET).context("making a network namespace")?;
            set_up_defaults()?;
            Ok(File::open("/proc/thread-self/ns/net")?.into())
        })?;
        Ok(Self { name: name.to_owned(), net: Arc::new(net), mounts: None })
    }

    /// Makes a network namespace with a mount namespace beside it, as a node has one: `/sys` shows the
    /// interfaces of this namespace, and `/sys/fs/bpf` is a bpf file system that nobody else sees.
    ///
    /// # Errors
    /// As [`NetNs::new`], or when a mount is refused.
    pub fn with_mounts(name: &str) -> Result<Self> {
        let mut namespace = Self::new(name)?;
        let net = namespace.net.as_fd();
        let mounts = in_new_thread(move || -> Result<OwnedFd> {
            move_into_link_name_space(net, Some(LinkNameSpaceType::Network))?;
            unshare(UnshareFlags::NEWNS).context("making a mount namespace")?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).context("mounting /sys")?;
            mount("bpf", "/sys/fs/bpf", "bpf", MountFlags::empty(), None).context("mounting /sys/fs/bpf")?;
            Ok(File::open("/proc/thread-self/ns/mnt")?.into())
        })?;
        namespace.mounts = Some(Arc::new(mounts));
        Ok(namespace)
    }

    /// A namespace that another process holds, by a path as [`NetNs::path`] gives it.
    ///
    /// # Errors
    /// When there is none any more, or this process may not see it.
    pub fn open(name: &str, path: &str) -> Result<Self> {
        let net = File::open(path).with_context(|| format!("opening the network namespace {name}"))?;
        Ok(Self { name: name.to_owned(), net: Arc::new(net.into()), mounts: None })
    }

    /// What the namespace is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path that names the namespace for other programs (`ip … netns PATH`, `nsenter --net=PATH`), as long as
    /// this process runs.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd())
    }

    /// The like of [`NetNs::path`] for the mount namespace, where there is one.
    #[must_use]
    pub fn mounts_path(&self) -> Option<String> {
        Some(format!("/proc/{}/fd/{}", std::process::id(), self.mounts.as_ref()?.as_raw_fd()))
    }

    /// Runs `work` on a thread inside the namespace. Sockets made there stay there: they can be used from anywhere.
    ///
    /// # Panics
    /// When `work` panics, or when the namespace can't be entered (the permission was lost meanwhile).
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_new_thread(|| {
            self.enter().expect("a namespace of ours can be entered");
            work()
        })
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        enter(&self.net, self.mounts.as_deref())
            .with_context(|| format!("entering the network namespace {}", self.name))
    }

    /// [`NetNs::enter`] for a thread that may outlive this value.
    pub fn enterer(&self) -> impl FnOnce() -> Result<()> + Send + 'static {
        let (net, mounts) = (Arc::clone(&self.net), self.mounts.clone());
        move || enter(&net, mounts.as_deref())
    }

    /// Runs `ip -batch` with these lines.
    ///
    /// # Errors
    /// When a line fails: the message has `ip`'s own words.
    pub fn ip(&self, lines: &[String]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.feed("ip", &["-batch", "-"], &lines.join("\n")).map(drop)
    }

    /// Runs a program inside the namespace with this standard input; its standard output comes back.
    ///
    /// # Errors
    /// When it can't be started, or fails: the message has what it wrote to standard error.
    pub fn feed(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.run(|| -> Result<_> {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {program}: is it installed?"))?;
            // The pipe closes here, so the program sees the end of its input.
            child.stdin.take().expect("the input is a pipe").write_all(input.as_bytes())?;
            Ok(child.wait_with_output()?)
        })?;
        if !output.status.success() {
            bail!(
                "{program} {} in {} failed: {}\n{input}",
                arguments.join(" "),
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Sets a kernel setting of this namespace: `sysctl("net/ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// When the setting does not exist in this kernel, or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| write_sysctl(key, value))
    }
}

fn enter(net: &OwnedFd, mounts: Option<&OwnedFd>) -> Result<()> {
    if let Some(mounts) = mounts {
        // A thread that shares its root and working directory with others can't change the mount namespace.
        unshare(UnshareFlags::FS)?;
        move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    }
    Ok(move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network))?)
}

fn set_up_defaults() -> Result<()> {
    // Addresses are usable at once, and the kernel's own source check stays out of the way: what drops a forged
    // packet in a test must be the program under test.
    for interface in ["all", "default"] {
        write_sysctl(&format!("net/ipv6/conf/{interface}/disable_ipv6"), "0")?;
        write_sysctl(&format!("net/ipv6/conf/{interface}/accept_dad"), "0")?;
        write_sysctl(&format!("net/ipv6/conf/{interface}/accept_ra"), "0")?;
        write_sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
    }
    // A connection that was closed for a while notices soon that it is open again; older kernels don't know the setting.
    let _ = write_sysctl("net/ipv4/tcp_rto_max_ms", "1000");
    write_sysctl("net/ipv4/ping_group_range", "0 2147483647")
}

fn write_sysctl(key: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys").join(key);
    fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
}

fn in_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[allow(unsafe_code)]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: only namespaces and the file-system attributes are unshared, never the table of file descriptors
    // (`UnshareFlags::FILES`), which is what makes this call unsafe.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}
