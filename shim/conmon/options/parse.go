// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Parse reads a command line, without the program's name, and the variables
// LC_ALL, LC_CTYPE, LANG and _OCI_*PIPE. The text of an error is the line, without
// newline, that conmon prints to stderr before it exits with 1. The runtime is not
// looked at: for one that access(2) refuses, conmon's text is
// "[conmon:e]: Runtime path PATH is not valid CAUSE".
func Parse(args []string, env func(string) string) (Options, error) {
	c := command{Options: Options{SocketDir: DefaultSocketDir, LogMaxFiles: 1}, level: "warn"}
	l := localeOf(env)
	switch err := scan(args, c.flags(), l); {
	case errors.Is(err, errHelp):
		return Options{Help: true}, nil
	case err != nil:
		return Options{}, errors.New("conmon: option parsing failed: " + l.show(err.Error()))
	case c.Options.Version:
		return Options{Version: true}, nil
	}
	if c.api {
		c.APIVersion = 1
	}
	for _, check := range []func() error{c.checkIdentity, c.checkLogs} {
		if err := check(); err != nil {
			return Options{}, err
		}
	}
	if err := c.readPipes(env); err != nil {
		return Options{}, err
	}
	c.warn()
	return c.Options, nil
}

// checkIdentity has conmon's checks in conmon's order.
func (c *command) checkIdentity() error {
	level, known := levels[strings.ToLower(c.level)]
	c.LogLevel = level
	for _, must := range []struct {
		hold bool
		text string
	}{
		{c.ID != "", "conmon: Container ID not provided. Use --cid"},
		{known, "[conmon:e]: No such log level " + c.level},
		{c.Restore == "" || !c.Exec, "[conmon:e] Cannot use 'exec' and 'restore' at the same time"},
		{c.Exec || !c.ExecAttach, "[conmon:e] Attach can only be specified with exec"},
		{c.api || !c.ExecAttach, "[conmon:e] Attach can only be specified for a non-legacy exec session"},
		{c.UUID != "" || c.Exec && !c.api, "[conmon:e] Container UUID not provided. Use --cuuid"},
		{c.Runtime != "", "[conmon:e] Runtime path not provided. Use --runtime"},
		{c.ExecProcessSpec != "" || !c.Exec, "[conmon:e] Exec process spec path not provided. Use --exec-process-spec"},
	} {
		if !must.hold {
			return errors.New(must.text)
		}
	}
	return nil
}

func (c *command) checkLogs() error {
	if len(c.logs) == 0 {
		return errors.New("[conmon:e] Log driver not provided. Use --log-path")
	}
	used := map[Driver]bool{}
	for _, text := range c.logs {
		log, err := parseLog(text)
		if err != nil {
			return err
		}
		c.Logs = append(c.Logs, log)
		used[log.Driver] = true
	}
	onlyFile := (used[K8sFile] || used[JSONFile]) && !used[Journald]
	for _, must := range []struct {
		hold bool
		text string
	}{
		// CONTAINER_ID is the first 12 characters of it.
		{len(c.ID) > 12 || !used[Journald], "[conmon:e] Container ID must be longer than 12 characters"},
		{c.LogTag == "" || !onlyFile, "[conmon:e] k8s-file doesn't support --log-tag"},
		{len(c.LogLabels) == 0 || !onlyFile, "[conmon:e] k8s-file doesn't support --log-label"},
		{c.LogMaxFiles >= 1, "[conmon:e] --log-max-files must be at least 1"},
	} {
		if !must.hold {
			return errors.New(must.text)
		}
	}
	for _, label := range c.LogLabels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

// parseLog reads DRIVER:PATH, DRIVER, PATH or :PATH. A bare word without a slash
// that is no driver is a path as well.
func parseLog(text string) (Log, error) {
	driver, path, colon := strings.Cut(text, ":")
	if !colon && !isDriver(text) {
		driver, path = "", text
	}
	if driver == "" && path == "" {
		return Log{}, errors.New("[conmon:e]: log-path must not be empty")
	}
	switch driver {
	case "":
		return Log{K8sFile, path}, nil
	case string(K8sFile), string(JSONFile):
		if path == "" {
			return Log{}, errors.New("[conmon:e]: " + driver + " requires a filename")
		}
		return Log{Driver(driver), path}, nil
	case "off", "null":
		return Log{Driver: None}, nil
	}
	if !isDriver(driver) {
		return Log{}, fmt.Errorf("[conmon:e]: No such log driver %s", driver)
	}
	return Log{Driver: Driver(driver)}, nil
}

func isDriver(name string) bool {
	switch Driver(name) {
	case K8sFile, JSONFile, Journald, Passthrough, None, "off", "null":
		return true
	}
	return false
}

// checkLabel: the key becomes the name of a journal field.
func checkLabel(label string) error {
	key, _, ok := strings.Cut(label, "=")
	if !ok || key == "" {
		return fmt.Errorf("[conmon:e]: Container labels must be in format LABEL=VALUE (%q is not)", label)
	}
	if strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("[conmon:e]: Container label names must be of A-Z, 0-9 and _ (%q is not)", key)
	}
	return nil
}

func (c *command) readPipes(env func(string) string) error {
	c.SyncPipe, c.StartPipe, c.AttachPipe = -1, -1, -1
	pipes := []struct {
		key  string
		into *int
	}{{"_OCI_SYNCPIPE", &c.SyncPipe}, {"_OCI_STARTPIPE", &c.StartPipe}, {"_OCI_ATTACHPIPE", &c.AttachPipe}}
	if !c.ExecAttach {
		pipes = pipes[:2]
	}
	for _, p := range pipes {
		value := env(p.key)
		if value == "" {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return errors.New("[conmon:e]: unable to parse " + p.key)
		}
		*p.into = int(n)
	}
	if c.ExecAttach && c.AttachPipe < 0 {
		return errors.New("[conmon:e]: --attach specified but _OCI_ATTACHPIPE was not")
	}
	return nil
}

// warn: the seccomp agent's flags were in conmon from 2.0.30 to 2.2.1.
func (c *command) warn() {
	for _, f := range []struct{ long, value string }{
		{"seccomp-notify-socket", c.seccompSocket},
		{"seccomp-notify-plugins", c.seccompPlugins},
	} {
		if f.value != "" {
			c.Warnings = append(c.Warnings, "--"+f.long+" is ignored: seccomp notifications are not handled here")
		}
	}
}
