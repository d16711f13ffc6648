// SPDX-License-Identifier: Apache-2.0

// Go must not take this file for a part of its package.
//go:build ignore

/*
 * The floor of the benchmark: what the kernel itself takes for one container,
 * by a static C program with no config, no state and no checks. It makes the
 * system calls that the benchmark's config asks for, in one process: cgroups,
 * a child in new namespaces, mounts, devices, links, masked and read-only
 * paths, pivot_root, capabilities, exec of `busybox true`, wait, rmdir.
 *
 *   floor run ROOTFS CGROUP_PATH plain|docker HIERARCHY...
 *   floor rss COMMAND [ARGUMENT...]     prints the peak RSS of COMMAND in kB
 *
 * docker adds a memory and a pids limit and two more masked paths; there is no
 * seccomp filter in the floor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(1);
}

#define DO(call) do { if ((call) < 0) die(#call); } while (0)

struct job {
	const char *rootfs;
	int docker;
	const char *cgroup;
	int ready; /* the child waits here for its cgroups */
};

static const char *masked[] = {
	"proc/acpi", "proc/asound", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
	"proc/timer_stats", "proc/sched_debug", "sys/firmware", "proc/scsi",
	"proc/interrupts", "sys/devices/virtual/powercap",
};

static const char *readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };

static void mask(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		DO(mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k"));
	else
		DO(mount("dev/null", path, NULL, MS_BIND, NULL));
}

static void mounts(void)
{
	const unsigned long quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	DO(mount("proc", "proc", "proc", 0, NULL));
	DO(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	DO(mkdir("dev/pts", 0755));
	DO(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	DO(mkdir("dev/shm", 01777));
	DO(mount("shm", "dev/shm", "tmpfs", quiet, "mode=1777,size=65536k"));
	DO(mkdir("dev/mqueue", 0755));
	DO(mount("mqueue", "dev/mqueue", "mqueue", quiet, NULL));
	DO(mount("sysfs", "sys", "sysfs", quiet | MS_RDONLY, NULL));
}

/* After devices(): files are masked with dev/null. */
static void hide(int docker)
{
	size_t i;

	for (i = 0; i < LEN(masked) - (docker ? 0 : 2); i++)
		mask(masked[i]);
	for (i = 0; i < LEN(readonly); i++) {
		if (access(readonly[i], F_OK) < 0)
			continue;
		DO(mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL));
		DO(mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, NULL));
	}
}

static void cgroup_mounts(char **hierarchies)
{
	char path[512];

	DO(mount("cgroup", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"));
	for (; *hierarchies; hierarchies++) {
		char *name = strrchr(*hierarchies, '/') + 1, option[64];

		if (!strcmp(name, "unified"))
			continue;
		snprintf(path, sizeof(path), "sys/fs/cgroup/%s", name);
		snprintf(option, sizeof(option), "%s%s", strcmp(name, "systemd") ? "" : "name=", name);
		DO(mkdir(path, 0755));
		DO(mount("cgroup", path, "cgroup", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, option));
	}
	DO(mount(NULL, "sys/fs/cgroup", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

static void devices(void)
{
	static const struct { const char *path; int major, minor; } nodes[] = {
		{ "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 },
		{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
	};
	size_t i;

	for (i = 0; i < LEN(nodes); i++) {
		DO(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
		DO(chmod(nodes[i].path, 0666));
	}
	DO(symlink("/proc/self/fd", "dev/fd"));
	DO(symlink("/proc/self/fd/0", "dev/stdin"));
	DO(symlink("/proc/self/fd/1", "dev/stdout"));
	DO(symlink("/proc/self/fd/2", "dev/stderr"));
	DO(symlink("pts/ptmx", "dev/ptmx"));
}

static void privileges(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	unsigned keep = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
	struct __user_cap_data_struct data[2] = { { .effective = keep, .permitted = keep } };
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap > 31 || !(keep & 1u << cap))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* not in ours */
	DO(syscall(SYS_setgroups, 0, NULL));
	DO(syscall(SYS_capset, &head, data));
	DO(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void put(const char *dir, const char *file, const char *value)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(path);
	close(fd);
}

/* By tasks: a write to cgroup.procs waits for an RCU grace period, 6 ms. */
static void enter(const char *cgroup, char **hierarchies)
{
	char dir[512];

	for (; *hierarchies; hierarchies++) {
		snprintf(dir, sizeof(dir), "%s%s", *hierarchies, cgroup);
		if (strcmp(strrchr(*hierarchies, '/'), "/unified")) /* no controllers there */
			put(dir, "tasks", "0");
	}
}

static int child(struct job *job, char **hierarchies)
{
	char c, *argv[] = { "busybox", "true", NULL }, *envp[] = { "PATH=/bin", NULL };
	struct rlimit files = { 1024, 1024 };
	size_t i;

	if (read(job->ready, &c, 1) != 1)
		_exit(1);
	enter(job->cgroup, hierarchies);
	DO(unshare(CLONE_NEWCGROUP));
	DO(setsid());
	DO(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	DO(mount(job->rootfs, job->rootfs, NULL, MS_BIND | MS_REC, NULL));
	DO(chdir(job->rootfs));
	mounts();
	cgroup_mounts(hierarchies);
	devices();
	hide(job->docker);
	DO(syscall(SYS_pivot_root, ".", "."));
	DO(mount(NULL, ".", NULL, MS_REC | MS_SLAVE, NULL));
	DO(umount2(".", MNT_DETACH));
	DO(chdir("/"));
	if (!job->docker)
		DO(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	DO(sethostname("box", 3));
	umask(022);
	DO(setrlimit(RLIMIT_NOFILE, &files));
	privileges();
	for (i = 3; i < 8; i++)
		close(i);
	execve("/bin/busybox", argv, envp);
	die("execve");
	return 1;
}

/* A new cpuset is useless before it has the parent's CPUs and nodes. */
static void inherit(const char *dir, const char *parent, const char *file)
{
	char path[512], value[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", parent, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (n = read(fd, value, sizeof(value) - 1)) < 0)
		die(path);
	value[n] = 0;
	close(fd);
	put(dir, file, value);
}

static void cgroups(struct job *job, char **hierarchies)
{
	for (; *hierarchies; hierarchies++) {
		char dir[512], parent[512], *name = strrchr(*hierarchies, '/') + 1;

		snprintf(dir, sizeof(dir), "%s%s", *hierarchies, job->cgroup);
		snprintf(parent, sizeof(parent), "%s", dir);
		*strrchr(parent, '/') = 0;
		DO(mkdir(dir, 0755));
		if (!strcmp(name, "cpuset")) {
			inherit(dir, parent, "cpuset.cpus");
			inherit(dir, parent, "cpuset.mems");
		}
		if (!strcmp(name, "devices")) {
			put(dir, "devices.deny", "a");
			put(dir, "devices.allow", "c *:* m");
			put(dir, "devices.allow", "b *:* m");
			put(dir, "devices.allow", "c 1:* rwm");
			put(dir, "devices.allow", "c 5:* rwm");
			put(dir, "devices.allow", "c 136:* rwm");
		}
		if (job->docker && !strcmp(name, "memory")) {
			put(dir, "memory.limit_in_bytes", "268435456");
			put(dir, "memory.memsw.limit_in_bytes", "536870912");
		}
		if (job->docker && !strcmp(name, "pids"))
			put(dir, "pids.max", "100");
	}
}

static int run(char **argv)
{
	struct job job = { .rootfs = argv[0], .cgroup = argv[1], .docker = !strcmp(argv[2], "docker") };
	const unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
	char dir[512], **h;
	int ready[2], status, n;

	DO(pipe2(ready, O_CLOEXEC));
	job.ready = ready[0];
	n = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (n < 0)
		die("clone");
	if (n == 0)
		return child(&job, argv + 3);
	cgroups(&job, argv + 3);
	if (write(ready[1], "x", 1) != 1)
		die("write");
	if (waitpid(n, &status, 0) < 0)
		die("waitpid");
	for (h = argv + 3; *h; h++) {
		snprintf(dir, sizeof(dir), "%s%s", *h, argv[1]);
		DO(rmdir(dir));
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* A Go program's own size would be counted as the child's before its exec. */
static int rss(char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execv(argv[0], argv);
		die(argv[0]);
	}
	if (wait4(pid, &status, 0, &usage) < 0)
		die("wait4");
	printf("%ld\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	if (argc > 5 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "rss"))
		return rss(argv + 2);
	fprintf(stderr, "usage: floor run ROOTFS CGROUP plain|docker HIERARCHY... | rss COMMAND...\n");
	return 2;
}
