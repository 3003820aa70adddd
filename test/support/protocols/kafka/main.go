// Command kafka is a broker in memory (kfake), or a client that writes records and reads them back (franz-go).
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "orders"

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 4 && os.Args[1] == "use":
		err = use(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: kafka serve PORT | kafka use HOST:PORT RECORDS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(text string) error {
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.Ports(port), kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Println("ready")
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	return nil
}

// A broker tells where it is to be called; every connection goes to the sidecar instead, as it would where `advertised.listeners`
// says so.
func use(at, count string) error {
	records, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.Dialer(dial), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for index := 0; index < records; index++ {
		value := fmt.Sprintf("%d %s", index, strings.Repeat("x", 1000))
		client.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	read := 0
	for read < records {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		read += fetches.NumRecords()
	}
	fmt.Println(read)
	return nil
}
