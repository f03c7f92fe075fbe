package wholefile

import (
	"bytes"
	"crypto/md5" //nolint:gosec // some storages send no other checksum; it is against accidents
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc64"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Checksum is a checksum of the whole file that the server promised in a header. The zero value is no promise: it takes
// any file.
type Checksum struct {
	Name string // of the header; "": nothing was promised

	hash hash.Hash
	want []byte
}

// Promised returns the first checksum among the headers that this package can compute. Nonsense is no promise.
func Promised(header http.Header) Checksum {
	for _, known := range checksums {
		if want := known.want(header.Get(known.header)); want != nil {
			return Checksum{Name: known.header, hash: known.hash(), want: want}
		}
	}
	return Checksum{}
}

// Feed takes the next bytes of the file.
func (c *Checksum) Feed(p []byte) {
	if c.hash != nil {
		c.hash.Write(p)
	}
}

// Match reports whether the bytes so far have the promised checksum.
func (c *Checksum) Match() bool {
	return c.hash == nil || bytes.Equal(c.hash.Sum(nil), c.want)
}

// checksums are what storages send with a whole file, in the order of preference: OSS, COS and TOS; S3; the fields of
// RFC 9530; that of RFC 1864.
var checksums = []struct {
	header string
	want   func(value string) []byte // nil: the value is no checksum of this kind
	hash   func() hash.Hash
}{
	{"x-oss-hash-crc64ecma", crc64Of, newCRC64},
	{"x-cos-hash-crc64ecma", crc64Of, newCRC64},
	{"x-tos-hash-crc64ecma", crc64Of, newCRC64},
	{"x-amz-checksum-sha256", func(value string) []byte { return base64Of(value, sha256.Size) }, sha256.New},
	{"Repr-Digest", sha256In, sha256.New},
	{"Content-Digest", sha256In, sha256.New},
	{"Content-MD5", func(value string) []byte { return base64Of(value, md5.Size) }, md5.New},
}

var crcTable = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64.ECMA) })

func newCRC64() hash.Hash { return crc64.New(crcTable()) }

func crc64Of(value string) []byte {
	crc, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, crc)
}

func base64Of(value string, size int) []byte {
	sum, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(sum) != size {
		return nil
	}
	return sum
}

// sha256In returns the SHA-256 of a list of digests.
func sha256In(list string) []byte {
	for member := range strings.SplitSeq(list, ",") {
		if digest, found := strings.CutPrefix(strings.TrimSpace(member), "sha-256=:"); found {
			return base64Of(strings.TrimSuffix(digest, ":"), sha256.Size)
		}
	}
	return nil
}
