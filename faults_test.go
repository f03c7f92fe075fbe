package vidu_test
