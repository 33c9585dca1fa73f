// Command chart checks a Helm chart strictly and prints what it makes of values.
//
//	chart [-release NAME] [-namespace NAME] DIR [VALUES...]
//
// It lints the chart, where a warning is an error too, renders it, and decodes each
// manifest as the type of Kubernetes that it says it is: a field that the type does
// not have, which a cluster would drop without a word, is an error.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	release := flag.String("release", "files", "the name of the release")
	namespace := flag.String("namespace", "s3gate", "its namespace")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "chart: name the folder of a chart")
		os.Exit(2)
	}
	options := chartutil.ReleaseOptions{Name: *release, Namespace: *namespace, Revision: 1, IsInstall: true}
	if err := check(os.Stdout, options, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// check writes the manifests of the chart in dir to w if nothing is wrong with them.
func check(w io.Writer, options chartutil.ReleaseOptions, dir string, files []string) error {
	values, err := merge(files)
	if err != nil {
		return err
	}
	result := lint.AllWithKubeVersion(dir, values, options.Namespace, nil)
	var wrong []error
	for _, m := range result.Messages {
		if m.Severity >= support.WarningSev {
			wrong = append(wrong, m)
		}
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	manifests, err := render(options, dir, values)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		text := manifests[name]
		if strings.TrimSpace(text) == "" || strings.HasSuffix(name, ".txt") {
			continue
		}
		if err := strict(text); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, text)
		}
		fmt.Fprintf(w, "---\n# Source: %s\n%s\n", name, strings.Trim(text, "\n"))
	}
	return nil
}

// merge reads files of values; a later one wins.
func merge(files []string) (map[string]any, error) {
	values := map[string]any{}
	for _, file := range files {
		more, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		values = chartutil.CoalesceTables(more, values)
	}
	return values, nil
}

func render(options chartutil.ReleaseOptions, dir string, values map[string]any) (map[string]string, error) {
	c, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(c, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(c, all)
}

// strict decodes every document of a manifest as what it says it is.
func strict(text string) error {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	docs := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := docs.Read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		var object runtime.Object
		if object, _, err = decoder.Decode(doc, nil, nil); err != nil {
			return err
		}
		if kind := object.GetObjectKind().GroupVersionKind(); kind.Kind == "" {
			return errors.New("a manifest says no kind")
		}
	}
}
