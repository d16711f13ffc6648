// SPDX-License-Identifier: Apache-2.0

// Package attach is the socket through which people and engines look at a
// running container: conmon's attach socket, to which podman and CRI-O connect.
// Any number of clients see what the container prints from then on, and what
// they send is its standard input. There is no replay.
//
// The socket is of type SOCK_SEQPACKET. A packet to a client is a byte that names
// the stream, then at most 8192 bytes of it; a packet from a client is at most
// 32768 bytes of input, and half-closing means that its input ended.
//
// Nothing is dropped. A client that does not read fills a buffer of its own, then
// Write of the stream that filled it blocks until the client reads or goes
// away. Other streams, all input, and new clients are not held up by that.
//
//	s, err := attach.Listen(attach.Options{Bundle: bundle, Full: true, OnEOF: closeStdin})
//	s.Stdin(writeToContainer)
//	err = s.Write(attach.Stdout, p) // for what was read from the container
//	err = s.Drain(time.Now().Add(5 * time.Second))
//	err = s.Close()
//
// A process is served if it runs as our user or as root.
//
// Each client has two goroutines, one for either direction, the server has one.
package attach
