// Package nethttpfacts contains tests only: how net/http behaves where the promises of package vidu depend on it. It
// tests nothing of this module; each test is one fact, and CI runs them once for each Go release that the module
// supports. When a new release fails one, the policy for creates (verdict.go) and the one-shot body behind it have to
// be thought through again.
package nethttpfacts
