package traces

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// environment is what the variables of OpenTelemetry ask for.
type environment struct {
	grpc    bool
	sampler sdktrace.Sampler
	queue   int // spans that wait at most
}

// read reads the variables; nil means that no traces are wanted: where there is no
// endpoint, or OTEL_SDK_DISABLED=true, or OTEL_TRACES_EXPORTER=none.
func read(getenv func(string) string) (*environment, error) {
	either := func(name string) (string, string) {
		if of := "OTEL_EXPORTER_OTLP_TRACES_" + name; getenv(of) != "" {
			return of, getenv(of)
		}
		return "OTEL_EXPORTER_OTLP_" + name, getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: must be otlp or none, got %q", exporter)
	}
	name, endpoint := either("ENDPOINT")
	if endpoint == "" {
		return nil, nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// It may hold a password.
		return nil, fmt.Errorf("%s: must be a URL such as http://collector:4318", name)
	}
	e := &environment{}
	switch name, protocol := either("PROTOCOL"); protocol {
	case "", "http/protobuf":
	case "grpc":
		e.grpc = true
	default:
		return nil, fmt.Errorf("%s: must be http/protobuf or grpc, got %q", name, protocol)
	}
	var err error
	if e.queue, err = queue(getenv("OTEL_BSP_MAX_QUEUE_SIZE")); err != nil {
		return nil, err
	}
	e.sampler, err = sampler(getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG"))
	return e, err
}

// queue is how many spans wait for the collector at most.
func queue(text string) (int, error) {
	if text == "" {
		return sdktrace.DefaultMaxQueueSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxQueue {
		return 0, fmt.Errorf("OTEL_BSP_MAX_QUEUE_SIZE: must be 1 to %d, got %q", maxQueue, text)
	}
	return n, nil
}

// maxQueue bounds the memory of what waits, some kB each.
const maxQueue = 1 << 20

// sampler decides of which requests there are spans. Those of a parent are as their
// parent is, if the name says so.
func sampler(name, arg string) (sdktrace.Sampler, error) {
	root, parent := strings.CutPrefix(name, "parentbased_")
	if name == "" {
		root, parent = "always_on", true
	}
	var s sdktrace.Sampler
	switch root {
	case "always_on":
		s = sdktrace.AlwaysSample()
	case "always_off":
		s = sdktrace.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(arg, 64)
		if arg == "" {
			ratio, err = 1, nil
		}
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: must be 0 to 1, got %q", arg)
		}
		s = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER: must be always_on, always_off or traceidratio, or one of them after parentbased_, got %q", name)
	}
	if parent {
		s = sdktrace.ParentBased(s)
	}
	return s, nil
}
