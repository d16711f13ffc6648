// SPDX-License-Identifier: Apache-2.0

// Command enginebench measures what a user of an engine waits for, with Berth
// and with Debian's runc and crun under the same engine: `docker run`, `docker
// exec`, `podman run` and `podman exec` of busybox's true. Each round measures
// each runtime once, in an order that rotates. It needs root, docker.io, podman,
// conmon, crun, runc and bin/ of `make build`, and starts engines of its own.
//
//	go run ./tests/enginebench -n 40 -docs docs/performance-engines.md
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"berth/tests/rig"
	"berth/tests/series"
)

// subject is a command line that is measured, in a row of others that do the same.
type subject struct {
	row, name string
	argv, env []string
}

func main() {
	rounds := flag.Int("n", 40, "rounds")
	docs := flag.String("docs", "", "`file` to write the table to")
	flag.Parse()
	os.Exit(rig.Program("enginebench", func() error { return bench(*rounds, *docs) }))
}

func bench(rounds int, docs string) (err error) {
	module, err := rig.ModuleDir()
	if err != nil {
		return err
	}
	var subjects []subject
	for _, start := range []func(string) ([]subject, func() error, error){startDocker, startDockerWithShim, startPodman} {
		list, stop, err := start(module)
		if stop != nil {
			defer func() { err = errors.Join(err, stop()) }()
		}
		if err != nil {
			return err
		}
		subjects = append(subjects, list...)
	}
	set := series.Set{}
	for _, row := range rowsOf(subjects) {
		if err := measure(row, rounds, set); err != nil {
			return err
		}
	}
	text := table(subjects, set, rounds)
	fmt.Print(text)
	if docs == "" {
		return nil
	}
	return os.WriteFile(docs, []byte(text), 0o644)
}

// rowsOf groups the subjects by row, in the order in which rows come first.
func rowsOf(subjects []subject) [][]subject {
	var rows [][]subject
	for _, s := range subjects {
		found := false
		for i := range rows {
			if rows[i][0].row == s.row {
				rows[i] = append(rows[i], s)
				found = true
			}
		}
		if !found {
			rows = append(rows, []subject{s})
		}
	}
	return rows
}

// measure does all rounds of one row; the first one warms the caches.
func measure(row []subject, rounds int, set series.Set) error {
	for round := range rounds + 1 {
		for i := range row {
			s := row[(i+round)%len(row)]
			ms, err := s.once()
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.row, s.name, err)
			}
			if round > 0 {
				set.Add(s.row, s.name, ms)
			}
		}
	}
	return nil
}

// once returns the wall clock's milliseconds.
func (s subject) once() (float64, error) {
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	var out bytes.Buffer
	cmd.Stderr = &out
	begin := time.Now()
	err := cmd.Run()
	ms := float64(time.Since(begin).Microseconds()) / 1000
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return ms, nil
}

// table has the first subject of each row against the others.
func table(subjects []subject, set series.Set, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance under engines\n\nMade by `make bench-engines` (`go run ./tests/enginebench -n %d`) on %s; do not edit.\n\n",
		rounds, time.Now().Format(time.DateOnly))
	b.WriteString("Milliseconds of the user's command, engine and client included; each round runs each runtime once, in an order that rotates.\n\n")
	b.WriteString("| command | with | min | median | mean | berth ÷ it (median) | berth ÷ it (min) |\n|---|---|--:|--:|--:|--:|--:|\n")
	for _, row := range rowsOf(subjects) {
		ours := series.Summarize(set[row[0].row][row[0].name])
		for i, s := range row {
			title, ratios := "", "| | |"
			if i == 0 {
				title = "`" + s.row + "`"
			}
			got := series.Summarize(set[s.row][s.name])
			if i > 0 {
				ratios = fmt.Sprintf("| %.2f | %.2f |", ours.Median/got.Median, ours.Min/got.Min)
			}
			fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f %s\n", title, s.name, got.Min, got.Median, got.Mean, ratios)
		}
	}
	b.WriteString("\n*berth's shim*: the engine's containerd has `containerd-shim-berth-v2` in the place of `containerd-shim-runc-v2`, and\n" +
		"executes no runtime. Podman's rows name the monitor and the runtime. To reach: faster than runc, not slower than crun.\n")
	return b.String()
}
