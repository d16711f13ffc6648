// SPDX-License-Identifier: Apache-2.0

// Command criclient speaks with the CRI plugin of an engine, as a kubelet does.
// It is a module of its own: nothing of it is linked into Berth.
//
//	criclient METHOD [JSON]                 a call of RuntimeService or ImageService; the answer as JSON
//	criclient watch                         the events of containers, one JSON a line
//	criclient execsync [-timeout N] ID CMD…
//	criclient exec [-i] [-t] [-size RxC] ID CMD…
//	criclient attach [-i] [-t] [-size RxC] ID
//
// The socket is $CRI_SOCKET. A message that has no JSON is empty; with "-" it is
// read from stdin. The command's exit status is that of exec and execsync.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// exited is the command's exit status, where that is not 0.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	err := run(os.Args[1:])
	var code exited
	switch {
	case errors.As(err, &code):
		os.Exit(int(code))
	case err != nil:
		fmt.Fprintln(os.Stderr, "criclient:", err)
		os.Exit(255)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: criclient METHOD [JSON] | execsync … | exec … | attach …")
	}
	conn, err := grpc.NewClient("unix://"+os.Getenv("CRI_SOCKET"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	timeout := flags.Int64("timeout", 0, "seconds")
	stdin := flags.Bool("i", false, "pass stdin on")
	tty := flags.Bool("t", false, "a terminal")
	size := flags.String("size", "", "ROWSxCOLUMNS of the terminal")
	switch args[0] {
	case "execsync", "exec", "attach":
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		args = append(args[:1], flags.Args()...)
		if len(args) < 2 {
			return errors.New("which container?")
		}
	}
	runtime := cri.NewRuntimeServiceClient(conn)
	switch args[0] {
	case "watch":
		return watch(runtime)
	case "execsync":
		return execSync(ctx, runtime, args[1], args[2:], *timeout)
	case "exec":
		resp, err := runtime.Exec(ctx, &cri.ExecRequest{
			ContainerId: args[1], Cmd: args[2:], Tty: *tty, Stdin: *stdin, Stdout: true, Stderr: !*tty,
		})
		if err != nil {
			return err
		}
		return stream(resp.Url, *stdin, *tty, *size)
	case "attach":
		resp, err := runtime.Attach(ctx, &cri.AttachRequest{
			ContainerId: args[1], Tty: *tty, Stdin: *stdin, Stdout: true, Stderr: !*tty,
		})
		if err != nil {
			return err
		}
		return stream(resp.Url, *stdin, *tty, *size)
	}
	return call(ctx, conn, args[0], args[1:])
}

// call is any unary method, by its name.
func call(ctx context.Context, conn *grpc.ClientConn, name string, args []string) error {
	method := methodOf(name)
	if method == nil {
		return fmt.Errorf("there is no method %s", name)
	}
	req, resp, err := messages(method)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		data := []byte(args[0])
		if args[0] == "-" {
			if data, err = io.ReadAll(os.Stdin); err != nil {
				return err
			}
		}
		if err := protojson.Unmarshal(data, req); err != nil {
			return err
		}
	}
	if err := conn.Invoke(ctx, fmt.Sprintf("/%s/%s", method.Parent().FullName(), name), req, resp); err != nil {
		s := status.Convert(err)
		return fmt.Errorf("%s: %s: %s", name, s.Code(), s.Message())
	}
	out, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(resp)
	if err == nil {
		fmt.Printf("%s\n", out)
	}
	return err
}

func methodOf(name string) protoreflect.MethodDescriptor {
	for _, service := range []protoreflect.FullName{"runtime.v1.RuntimeService", "runtime.v1.ImageService"} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(service)
		if err != nil {
			continue
		}
		if m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)); m != nil {
			return m
		}
	}
	return nil
}

func messages(m protoreflect.MethodDescriptor) (req, resp proto.Message, err error) {
	in, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		return nil, nil, err
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil, nil, err
	}
	return in.New().Interface(), out.New().Interface(), nil
}

// watch prints events until it is ended.
func watch(runtime cri.RuntimeServiceClient) error {
	events, err := runtime.GetContainerEvents(context.Background(), &cri.GetEventsRequest{})
	for err == nil {
		var event *cri.ContainerEventResponse
		if event, err = events.Recv(); err == nil {
			fmt.Println(protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Format(event))
		}
	}
	return err
}

func execSync(ctx context.Context, runtime cri.RuntimeServiceClient, id string, cmd []string, timeout int64) error {
	resp, err := runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: id, Cmd: cmd, Timeout: timeout})
	if err != nil {
		s := status.Convert(err)
		return fmt.Errorf("ExecSync: %s: %s", s.Code(), s.Message())
	}
	_, _ = os.Stdout.Write(resp.Stdout)
	_, _ = os.Stderr.Write(resp.Stderr)
	if resp.ExitCode != 0 {
		return exited(resp.ExitCode)
	}
	return nil
}
