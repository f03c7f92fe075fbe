package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Certificate makes a certificate for names and the pool that trusts it.
func Certificate(tb testing.TB, expires time.Time, names ...string) (config *tls.Config, pool *x509.CertPool) {
	tb.Helper()
	config, certificate, err := NewCertificate(expires, names...)
	require.NoError(tb, err)
	pool = x509.NewCertPool()
	pool.AddCert(certificate)
	return config, pool
}

// NewCertificate makes a certificate for names that is its own authority.
func NewCertificate(expires time.Time, names ...string) (*tls.Config, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Unix(0, 0), NotAfter: expires,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, certificate, err
}

// FarFuture is when a certificate expires that is to be valid.
var FarFuture = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
