// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"berth/image/registry"
)

func loginCommand() *cli.Command {
	return &cli.Command{
		Name: "login", Usage: "check and keep the credentials for a registry", ArgsUsage: "[HOST]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "`NAME` of the user"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password from stdin"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			host, o, err := registryHost(c)
			if err != nil {
				return err
			}
			user, password := o.Username, o.Password
			if u := c.String("username"); u != "" {
				user = u
			}
			if password == "" || c.Bool("password-stdin") {
				if user, password, err = ask(user, c.Bool("password-stdin")); err != nil {
					return err
				}
			}
			return registry.Login(ctx, host, user, password, o)
		},
	}
}

func registryHost(c *cli.Command) (string, registry.Options, error) {
	a, err := args(c, 0, 1)
	if err != nil {
		return "", registry.Options{}, err
	}
	o, err := registryOptions(c)
	if a[0] == "" {
		a[0] = "docker.io"
	}
	return a[0], o, err
}

// ask reads what is missing from stdin: a password is not shown on a terminal.
func ask(user string, fromStdin bool) (string, string, error) {
	in := bufio.NewReader(os.Stdin)
	line := func(prompt string) (string, error) {
		if !fromStdin {
			fmt.Fprint(os.Stderr, prompt)
		}
		s, err := in.ReadString('\n')
		if err != nil && s == "" {
			return "", errors.New("no credentials: give --username and --password-stdin, or --creds")
		}
		return strings.TrimRight(s, "\r\n"), nil
	}
	var err error
	if user == "" {
		if fromStdin {
			return "", "", errors.New("--password-stdin needs --username")
		}
		if user, err = line("Username: "); err != nil {
			return "", "", err
		}
	}
	if before, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil && !fromStdin {
		quiet := *before
		quiet.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(0, unix.TCSETS, &quiet); err != nil {
			return "", "", err
		}
		defer func() {
			_ = unix.IoctlSetTermios(0, unix.TCSETS, before) // it worked before
			fmt.Fprintln(os.Stderr)
		}()
	}
	password, err := line("Password: ")
	return user, password, err
}

func logoutCommand() *cli.Command {
	return &cli.Command{
		Name: "logout", Usage: "forget the credentials for a registry", ArgsUsage: "[HOST]",
		Action: func(_ context.Context, c *cli.Command) error {
			host, o, err := registryHost(c)
			if err != nil {
				return err
			}
			return registry.Logout(host, o)
		},
	}
}
