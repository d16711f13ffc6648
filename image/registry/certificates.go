// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tlsConfigs are for a registry, and for the hosts that it names: its token
// server and where its blobs are. They trust the same authorities, but client
// certificates are for the registry only.
func tlsConfigs(registry string, o Options) (own, other *tls.Config, err error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without any
	}
	if o.CAFile != "" {
		if err := addRoots(roots, o.CAFile); err != nil {
			return nil, nil, err
		}
	}
	other = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, InsecureSkipVerify: o.Insecure}
	var pairs []tls.Certificate
	for _, dir := range o.CertDirs {
		found, err := readCertDir(filepath.Join(dir, registry), roots)
		if err != nil {
			return nil, nil, err
		}
		pairs = append(pairs, found...)
	}
	own = other.Clone()
	own.Certificates = pairs
	return own, other, nil
}

func addRoots(roots *x509.CertPool, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("cannot read certificates: %s has none in PEM form", file)
	}
	return nil
}

// readCertDir reads one host's directory, as containers-certs.d(5) has it.
func readCertDir(dir string, roots *x509.CertPool) (pairs []tls.Certificate, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read certificates: %w", err)
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		switch base, _ := strings.CutSuffix(file, filepath.Ext(file)); filepath.Ext(file) {
		case ".crt":
			if err := addRoots(roots, file); err != nil {
				return nil, err
			}
		case ".cert":
			pair, err := tls.LoadX509KeyPair(file, base+".key")
			if err != nil {
				return nil, fmt.Errorf("cannot read client certificate %s: %w", file, err)
			}
			pairs = append(pairs, pair)
		}
	}
	return pairs, nil
}
