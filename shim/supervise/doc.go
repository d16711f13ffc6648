// SPDX-License-Identifier: Apache-2.0

// Package supervise is the life of one container and its execs as a supervisor
// sees it: who may do what when, which exit is told in which order. It knows no
// transport and no stream.
//
// table.go is the pure part: states × events → actions for one process, and
// Machine, which adds what concerns several: the exit of init is told after
// those of all execs. Task (task.go) performs the actions: it asks a Runtime,
// waits for processes by pidfd, and puts events into a queue without a bound
// that one goroutine hands to the Publisher.
//
// What holds for every schedule, and is tested with random ones:
//
//   - a process that was started has exactly one exit event;
//   - create before start before exit before delete, out-of-memory before exit;
//   - exits of execs before that of init;
//   - an exit is in the bundle (ExitRecord) before anybody hears of it.
package supervise
