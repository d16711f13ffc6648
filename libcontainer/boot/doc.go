// SPDX-License-Identifier: Apache-2.0

// Package boot turns a flat list of system calls into a tiny static ELF
// executable, the boot image, starts it, and reads what it reports.
//
// A Program is made of operations. An operation is a system call with up to
// six arguments (an immediate, an address, or a word: a 64-bit cell that an
// earlier result was stored in), a word for its result, and rules for errors.
// Beside calls there are only: set a word, jump, jump on a value in memory,
// and fail. The image holds ~300 bytes of interpreter, the operations, their
// constants, and the words; see image.go for its layout. Nothing in it
// depends on what it will find: whatever depends on the kernel is decided by
// the planner, and whatever cannot be flat is a step of the parent at a
// numbered barrier (report.go).
//
//	b := boot.New(boot.Config{Arch: boot.AMD64, Control: 3})
//	fd := b.Word("rootfd")
//	b.Do(boot.Openat, unix.AT_FDCWD, "/", unix.O_PATH|unix.O_CLOEXEC, 0).Into(fd)
//	b.Do(boot.ExitGroup, 0)
//	program, err := b.Finish()
package boot
