package vidu_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// verifications are ours and the two floors: the whole check by hand, and the HMAC alone.
func verifications(tb testing.TB) (ours, byHand, bare func() bool) {
	tb.Helper()
	r := callback(callbackNonce, "")
	text := []byte("POST\n/vidu/callback\nname=james&age=36\nvidu\n" + r.Header.Get("Date") + "\nDate:" + r.Header.Get("Date") + "\nx-request-nonce:" + callbackNonce + "\n")
	sum := func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte(callbackSecret))
		mac.Write(text)
		return mac.Sum(nil)
	}
	signature := sum(text)
	ours = func() bool { return vidu.VerifyCallback(r, callbackSecret) == nil }
	byHand = func() bool { return signAsListed(r, r.URL.Path) == r.Header.Get("X-Hmac-Signature") }
	bare = func() bool { return hmac.Equal(sum(text), signature) }
	return ours, byHand, bare
}

func BenchmarkVerifyCallback(b *testing.B) {
	ours, byHand, bare := verifications(b)
	for name, verify := range map[string]func() bool{"ours": ours, "floor": byHand, "hmac.New alone": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("refused")
				}
			}
		})
	}
}

func TestVerifyCallbackAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	ours, byHand, bare := verifications(t)
	require.True(t, ours() && byHand() && bare())
	n := testing.AllocsPerRun(1000, func() { ours() })
	t.Logf("%.0f allocations, by hand %.0f, hmac.New alone %.0f", n,
		testing.AllocsPerRun(1000, func() { byHand() }), testing.AllocsPerRun(1000, func() { bare() }))
	if !testkit.UnderRace() { // sync.Pool then drops things on purpose
		require.LessOrEqual(t, n, 1.0)
	}
}
