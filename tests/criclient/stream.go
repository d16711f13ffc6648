// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/moby/spdystream"
)

// stream speaks version 4 of Kubernetes' remote command protocol over SPDY: a
// stream each for the error, stdin, stdout, stderr and the terminal's size.
func stream(address string, stdin, tty bool, size string) error {
	conn, err := upgrade(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	open := func(kind string) (*spdystream.Stream, error) {
		s, err := conn.CreateStream(http.Header{"Streamtype": {kind}}, nil, false)
		if err != nil {
			return nil, err
		}
		return s, s.Wait()
	}
	failure, err := open("error")
	if err != nil {
		return err
	}
	var in, resize *spdystream.Stream
	if stdin {
		if in, err = open("stdin"); err != nil {
			return err
		}
	}
	outs := map[string]io.Writer{"stdout": os.Stdout}
	if !tty {
		outs["stderr"] = os.Stderr
	}
	var wg sync.WaitGroup
	for _, kind := range []string{"stdout", "stderr"} {
		if outs[kind] == nil {
			continue
		}
		s, err := open(kind)
		if err != nil {
			return err
		}
		wg.Go(func() { _, _ = io.Copy(outs[kind], s) })
	}
	if tty {
		if resize, err = open("resize"); err != nil {
			return err
		}
		if size != "" {
			var rows, columns int
			if _, err := fmt.Sscanf(size, "%dx%d", &rows, &columns); err != nil {
				return fmt.Errorf("-size %s: %w", size, err)
			}
			if err := json.NewEncoder(resize).Encode(map[string]int{"Width": columns, "Height": rows}); err != nil {
				return err
			}
		}
	}
	if in != nil {
		go func() {
			_, _ = io.Copy(in, os.Stdin)
			_ = in.Close()
		}()
	}
	message, err := io.ReadAll(failure)
	wg.Wait()
	if err != nil {
		return err
	}
	return result(message)
}

// upgrade asks for SPDY on the address that Exec or Attach has given.
func upgrade(address string) (*spdystream.Connection, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"v4.channel.k8s.io"},
	}}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("%s: %s", resp.Status, body)
	}
	if buffered.Buffered() > 0 {
		return nil, errors.New("the server speaks before it is asked")
	}
	spdy, err := spdystream.NewConnection(conn, false)
	if err != nil {
		return nil, err
	}
	go spdy.Serve(spdystream.NoOpStreamHandler)
	return spdy, nil
}

// result reads the status that ends a command: a metav1.Status.
func result(message []byte) error {
	if len(message) == 0 {
		return nil
	}
	var status struct {
		Status, Message, Reason string
		Details                 struct {
			Causes []struct{ Reason, Message string }
		}
	}
	if err := json.Unmarshal(message, &status); err != nil {
		return fmt.Errorf("%s: %w", message, err)
	}
	if status.Status == "Success" {
		return nil
	}
	for _, cause := range status.Details.Causes {
		var code int
		if n, _ := fmt.Sscan(cause.Message, &code); cause.Reason == "ExitCode" && n == 1 {
			return exited(code)
		}
	}
	return errors.New(status.Message)
}
