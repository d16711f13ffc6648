// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that is not our child has a status that nobody can know, but an end.
func TestWaitForSomebodyElsesChild(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 100 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // of no interest
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenChild(pid)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int)
	go func() {
		status, err := p.Wait()
		if err != nil {
			t.Error(err)
		}
		ended <- status
	}()
	select {
	case status := <-ended:
		t.Fatalf("status %d of a process that runs", status)
	case <-time.After(100 * time.Millisecond):
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}
