// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The protocol on the control socket, a SOCK_SEQPACKET pair:
//
//	image → parent   "FAIL" u32 offset of the operation, u64 errno   (then exit_group(1))
//	image → parent   "BARR" u32 number, payload                      (a barrier)
//	parent → image   at least one byte; more where the plan says so  (the answer)
//	end of file      at the parent: the image executed the payload or died;
//	                 at the image: the parent died, and the image fails
//
// Every message carries SCM_CREDENTIALS, so the parent learns the pid of
// whoever speaks, in its own pid namespace.
const (
	failMagic    = "FAIL"
	barrierMagic = "BARR"

	// MaxPayload is the largest payload of a barrier, in bytes.
	MaxPayload = 4096

	// MaxAnswer bounds an answer, in bytes.
	MaxAnswer = 64 << 10
)

// BarrierHeader is what a barrier's message starts with; the plan puts it
// among the constants or in front of a buffer.
func BarrierHeader(number uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte(barrierMagic), number)
}

// Message is what a running image says.
type Message struct {
	// Done: the socket is closed; the payload runs, or the process died.
	Done bool
	// Barrier is the number of the barrier that waits for an answer.
	Barrier uint32
	Payload []byte
	// FDs came with the message; the receiver owns them.
	FDs []*os.File
	// Pid is the sender's, in our pid namespace.
	Pid int
}

// Failure is an operation that failed in the image.
type Failure struct {
	// Op is the operation's index in the program.
	Op    int
	Errno unix.Errno
}

func (f *Failure) Error() string { return fmt.Sprintf("operation %d: %v", f.Op, f.Errno) }

// Unwrap returns the errno, for errors.Is.
func (f *Failure) Unwrap() error { return f.Errno }

// receive reads one message from the control socket.
func receive(fd int, p *Program) (Message, error) {
	data := make([]byte, 8+MaxPayload)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*4))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, data, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ECONNRESET) { // it died with our answer unread
		return Message{Done: true}, nil
	}
	if err != nil {
		return Message{}, fmt.Errorf("control socket: recvmsg: %w", err)
	}
	if n == 0 {
		return Message{Done: true}, nil
	}
	m, err := parseControl(oob[:oobn])
	if err != nil {
		return m, err
	}
	if n < 8 {
		return m, fmt.Errorf("control socket: message of %d bytes", n)
	}
	number := binary.LittleEndian.Uint32(data[4:])
	switch {
	case string(data[:4]) == barrierMagic:
		m.Barrier, m.Payload = number, data[8:n]
		return m, nil
	case string(data[:4]) == failMagic && n == 16:
		errno := unix.Errno(binary.LittleEndian.Uint64(data[8:]))
		if i := opAt(p, uint64(number)); i >= 0 {
			return m, &Failure{Op: i, Errno: errno}
		}
	}
	return m, fmt.Errorf("control socket: unknown message %q", data[:min(n, 16)])
}

// parseControl takes the credentials and descriptors out of a message.
func parseControl(oob []byte) (Message, error) {
	var m Message
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return m, fmt.Errorf("control socket: %w", err)
	}
	for i := range list {
		switch list[i].Header.Type {
		case unix.SCM_CREDENTIALS:
			if cred, err := unix.ParseUnixCredentials(&list[i]); err == nil {
				m.Pid = int(cred.Pid)
			}
		case unix.SCM_RIGHTS:
			fds, err := unix.ParseUnixRights(&list[i])
			if err != nil {
				return m, fmt.Errorf("control socket: %w", err)
			}
			for _, fd := range fds {
				m.FDs = append(m.FDs, os.NewFile(uintptr(fd), "from-image"))
			}
		}
	}
	return m, nil
}
