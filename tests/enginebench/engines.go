// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startDocker starts a dockerd and says what is measured with it.
func startDocker(module string) ([]subject, func() error, error) {
	host, stop, err := dockerd(module)
	if err != nil {
		return nil, stop, err
	}
	var list []subject
	for _, runtime := range []string{"berth", "runc", "crun"} {
		l, err := dockerSubjects(host, runtime, runtime)
		if err != nil {
			return nil, stop, err
		}
		list = append(list, l...)
	}
	return list, stop, nil
}

// startDockerWithShim starts one whose containerd has our shim.
func startDockerWithShim(module string) ([]subject, func() error, error) {
	host, stop, err := dockerd(module, "ENGINE_SHIM=berth")
	if err != nil {
		return nil, stop, err
	}
	list, err := dockerSubjects(host, "berth", "berth's shim")
	return list, stop, err
}

// dockerd starts one as integration/engines/docker does. stop may be called if
// it is not nil.
func dockerd(module string, env ...string) (host string, stop func() error, err error) {
	script := filepath.Join(module, "integration/engines/docker/start.sh")
	cmd := exec.Command(script)
	cmd.Env = append(append(os.Environ(), "ENGINE_RUNTIME=berth"), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	_, rest, found := strings.Cut(string(out), "DOCKER_HOST=")
	host, _, _ = strings.Cut(rest, "\n")
	if err != nil || !found {
		return "", nil, fmt.Errorf("%s: %w: %s", script, err, out)
	}
	room := filepath.Dir(strings.TrimPrefix(host, "unix://"))
	return host, func() error { return exec.Command(script, "stop", room).Run() }, nil
}

// dockerSubjects are run and exec; the container for exec runs until the engine ends.
func dockerSubjects(host, runtime, name string) ([]subject, error) {
	env := []string{"DOCKER_HOST=" + host}
	id := "idle-" + runtime
	idle := subject{argv: []string{"/usr/bin/docker", "run", "-d", "--runtime", runtime, "--name", id, "bb", "sleep", "1000000"}, env: env}
	if _, err := idle.once(); err != nil {
		return nil, err
	}
	return []subject{
		{"docker run --rm busybox true", name, []string{"/usr/bin/docker", "run", "--rm", "--runtime", runtime, "bb", "true"}, env},
		{"docker run --rm --network none busybox true", name, []string{"/usr/bin/docker", "run", "--rm", "--network", "none", "--runtime", runtime, "bb", "true"}, env},
		{"docker exec CONTAINER true", name, []string{"/usr/bin/docker", "exec", id, "true"}, env},
	}, nil
}

// podmanConfig has limits that need no CAP_SYS_RESOURCE to set.
const podmanConfig = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]
[engine]
events_logger = "file"
`

// startPodman makes a storage with one image; Podman has no daemon.
func startPodman(module string) (list []subject, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "enginebench-")
	if err != nil {
		return nil, nil, err
	}
	stop = func() error { return os.RemoveAll(dir) }
	config := filepath.Join(dir, "containers.conf")
	if err := os.WriteFile(config, []byte(podmanConfig), 0o644); err != nil {
		return nil, stop, err
	}
	tar, err := exec.Command(filepath.Join(module, "integration/engines/rootfs.sh"), "busybox").Output()
	if err != nil {
		return nil, stop, err
	}
	env := []string{"CONTAINERS_CONF=" + config}
	podman := func(monitor, runtime string, args ...string) subject {
		flags := []string{"podman", "--root", dir + "/root", "--runroot", dir + "/runroot", "--tmpdir", dir + "/tmp", "--storage-driver", "overlay",
			"--cgroup-manager", "cgroupfs", "--conmon", monitor, "--runtime", runtime}
		return subject{name: filepath.Base(monitor) + " + " + filepath.Base(runtime), argv: append(flags, args...), env: env}
	}
	bin := filepath.Join(module, "bin")
	berth, monitor := filepath.Join(bin, "berth"), filepath.Join(bin, "berth-monitor")
	if _, err := podman(monitor, berth, "import", "-q", strings.TrimSpace(string(tar)), "bb").once(); err != nil {
		return nil, stop, err
	}
	pairs := [][2]string{{monitor, berth}, {"/usr/bin/conmon", berth}, {"/usr/bin/conmon", "/usr/sbin/runc"}, {"/usr/bin/conmon", "/usr/bin/crun"}}
	for i, p := range pairs {
		id := fmt.Sprintf("idle%d", i)
		if _, err := podman(p[0], p[1], "run", "-d", "--network", "none", "--name", id, "bb", "sleep", "1000000").once(); err != nil {
			return nil, stop, err
		}
		run := podman(p[0], p[1], "run", "--rm", "--network", "none", "bb", "true")
		run.row = "podman run --rm --network none busybox true"
		exec := podman(p[0], p[1], "exec", id, "true")
		exec.row = "podman exec CONTAINER true"
		list = append(list, run, exec)
	}
	return list, func() error {
		_, err := podman(monitor, berth, "rm", "-fa", "-t", "0").once()
		return errors.Join(err, os.RemoveAll(dir))
	}, nil
}
