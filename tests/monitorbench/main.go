// SPDX-License-Identifier: Apache-2.0

// Command monitorbench measures berth-monitor against Debian's conmon: how long
// it is from the monitor's start to the message that the container is there, and
// what an idle monitor has of memory. Each round measures each pair of monitor
// and runtime once. It needs root, conmon, crun, runc, busybox and bin/ of
// `make build`.
//
//	go run ./tests/monitorbench -n 40 -docs docs/performance-monitor.md
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"
	"berth/tests/series"
)

// pair is what a row is about; the first one is ours.
type pair struct{ monitor, runtime string }

func (p pair) String() string { return filepath.Base(p.monitor) + " + " + filepath.Base(p.runtime) }

type results struct {
	latency, pss, anonymous []float64 // ms, kB, kB
}

func main() {
	rounds := flag.Int("n", 40, "rounds")
	docs := flag.String("docs", "", "`file` to write the table to")
	flag.Parse()
	os.Exit(rig.Program("monitorbench", func() error { return bench(*rounds, *docs) }))
}

func bench(rounds int, docs string) error {
	module, err := rig.ModuleDir()
	if err != nil {
		return err
	}
	berth := filepath.Join(module, "bin/berth")
	pairs := []pair{
		{filepath.Join(module, "bin/berth-monitor"), berth}, {"/usr/bin/conmon", berth},
		{"/usr/bin/conmon", "/usr/bin/crun"}, {"/usr/bin/conmon", "/usr/sbin/runc"},
	}
	all := make([]results, len(pairs))
	for round := range rounds + 1 { // the first one warms the caches
		for i := range pairs {
			k := (i + round) % len(pairs)
			r, err := once(pairs[k], berth, round%8 == 1)
			if err != nil {
				return fmt.Errorf("%s: %w", pairs[k], err)
			}
			if round > 0 {
				all[k].latency = append(all[k].latency, r.latency...)
				all[k].pss = append(all[k].pss, r.pss...)
				all[k].anonymous = append(all[k].anonymous, r.anonymous...)
			}
		}
	}
	text := table(pairs, all, rounds)
	fmt.Print(text)
	if docs == "" {
		return nil
	}
	return os.WriteFile(docs, []byte("# Performance of the monitor\n\nMade by `go run ./tests/monitorbench -n "+strconv.Itoa(rounds)+
		"` on "+time.Now().Format(time.DateOnly)+"; do not edit.\n\n"+text+"\nThe time is from the start of the monitor, as Podman starts it, to the "+
		"message with the container's pid: `create` is done then. Memory is of a monitor that has been idle for 2 s, with one container.\n"), 0o644)
}

func table(pairs []pair, all []results, rounds int) string {
	var b strings.Builder
	b.WriteString("| monitor + runtime | start → running, ms: min | median | first ÷ it (median) | PSS kB | anonymous kB |\n|---|--:|--:|--:|--:|--:|\n")
	median := func(values []float64) float64 { return series.Summarize(values).Median }
	ours := median(all[0].latency)
	for i, p := range pairs {
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.0f | %.0f |\n", p, series.Summarize(all[i].latency).Min, median(all[i].latency),
			ours/median(all[i].latency), median(all[i].pss), median(all[i].anonymous))
	}
	fmt.Fprintf(&b, "\n%d rounds, interleaved.\n", rounds)
	return b.String()
}

// once makes one container, and with memory looks at its idle monitor.
func once(p pair, berth string, memory bool) (r results, err error) {
	dir, err := os.MkdirTemp("", "monitorbench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	id := filepath.Base(dir)
	if err := makeBundle(dir, berth); err != nil {
		return r, err
	}
	var fds [2][2]int
	for i := range fds {
		if fds[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
			return r, err
		}
	}
	ours := [2]*os.File{os.NewFile(uintptr(fds[0][0]), "sync"), os.NewFile(uintptr(fds[1][0]), "start")}
	theirs := []*os.File{os.NewFile(uintptr(fds[0][1]), "sync"), os.NewFile(uintptr(fds[1][1]), "start")}
	cmd := exec.Command(p.monitor, "--api-version", "1", "-c", id, "-u", id, "-r", p.runtime, "-b", dir, "-p", dir+"/pid",
		"-P", dir+"/monitor.pid", "--exit-dir", dir, "--full-attach", "-l", "k8s-file:"+dir+"/log", "--runtime-arg", "--root", "--runtime-arg", dir+"/root")
	cmd.Env = append(os.Environ(), "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4")
	cmd.ExtraFiles = theirs
	if _, err := ours[1].Write([]byte("go")); err != nil {
		return r, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	for _, f := range theirs {
		_ = f.Close() // the monitor has it
	}
	var buf [4096]byte
	n, err := ours[0].Read(buf[:])
	r.latency = append(r.latency, float64(time.Since(begin).Microseconds())/1000)
	var message struct {
		Data    int
		Message string
	}
	if err = errors.Join(err, json.Unmarshal(buf[:n], &message), cmd.Wait()); err == nil && message.Data < 1 {
		err = errors.New(message.Message)
	}
	if err == nil && memory {
		time.Sleep(2 * time.Second)
		r.pss, r.anonymous, err = readMemory(dir + "/monitor.pid")
	}
	return r, errors.Join(err, finish(p, dir, id), ours[0].Close(), ours[1].Close())
}

// finish ends the container and waits for the monitor's last word.
func finish(p pair, dir, id string) error {
	out, err := exec.Command(p.runtime, "--root", dir+"/root", "delete", "--force", id).CombinedOutput()
	if err != nil {
		return fmt.Errorf("delete: %w: %s", err, out)
	}
	for range 500 {
		if _, err := os.Stat(filepath.Join(dir, id)); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("no exit file")
}

var versioned = regexp.MustCompile(`"ociVersion": *"[^"]*"`)

func makeBundle(dir, berth string) error {
	if err := os.MkdirAll(dir+"/rootfs/bin", 0o755); err != nil {
		return err
	}
	if err := os.Link("/bin/busybox", dir+"/rootfs/bin/sh"); err != nil {
		if out, err := exec.Command("cp", "/bin/busybox", dir+"/rootfs/bin/sh").CombinedOutput(); err != nil {
			return fmt.Errorf("busybox: %w: %s", err, out)
		}
	}
	if out, err := exec.Command(berth, "spec", "--bundle", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("spec: %w: %s", err, out)
	}
	data, err := os.ReadFile(dir + "/config.json")
	if err != nil {
		return err
	}
	// Debian's crun knows no later version.
	text := versioned.ReplaceAllString(strings.Replace(string(data), `"terminal": true`, `"terminal": false`, 1), `"ociVersion": "1.0.2"`)
	return os.WriteFile(dir+"/config.json", []byte(text), 0o644)
}

// readMemory reads PSS and anonymous memory of the process in a pid file.
func readMemory(file string) (pss, anonymous []float64, err error) {
	pid, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/smaps_rollup")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		kB, err := strconv.ParseFloat(f[1], 64)
		switch {
		case err != nil:
			return nil, nil, err
		case f[0] == "Pss:":
			pss = append(pss, kB)
		case f[0] == "Anonymous:":
			anonymous = append(anonymous, kB)
		}
	}
	return pss, anonymous, nil
}
