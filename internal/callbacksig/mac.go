package callbacksig

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"slices"
	"sync"
)

const algorithm = "hmac-sha256"

// mac is the state of one verification or signing.
type mac struct {
	secret string
	more   []string
	keyed  []hash.Hash // one for each secret

	accessKey string
	date      string
	signature [sha256.Size]byte
	signed    []signedHeader
	text      []byte
	digest    []byte
}

type signedHeader struct {
	name  string // as the list spells it
	key   string // as http.Header does
	value string
}

// macs are kept because keying an HMAC costs more than computing it. Most programs have one secret.
var macs sync.Pool

func borrowMAC(accessKey, secret string, more []string) *mac {
	m, ok := macs.Get().(*mac)
	if !ok || m.secret != secret || !slices.Equal(m.more, more) {
		m = &mac{secret: secret, more: slices.Clone(more)}
		m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(secret)))
		for _, other := range more {
			m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(other)))
		}
	}
	m.accessKey = accessKey
	return m
}

// sum computes the signature. The result holds until the next call.
func (m *mac) sum(keyed hash.Hash, method, path, query string) []byte {
	m.text = m.text[:0]
	for _, line := range [...]string{method, path, query, m.accessKey, m.date} {
		m.text = append(append(m.text, line...), '\n')
	}
	for _, h := range m.signed {
		m.text = append(append(m.text, h.name...), ':')
		m.text = append(append(m.text, h.value...), '\n')
	}
	keyed.Reset()
	keyed.Write(m.text)
	m.digest = keyed.Sum(m.digest[:0])
	return m.digest
}
