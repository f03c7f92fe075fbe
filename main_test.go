package vidu_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(proxyVariable) == "" { // the hosts of the tests are nobody else's
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
			_ = os.Unsetenv(name)
			_ = os.Unsetenv(strings.ToLower(name))
		}
	}
	goleak.VerifyTestMain(m)
}
