package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nchanServer is nginx with the nchan module: a WebSocket subscriber location, and a publisher location on the control port.
// There is one worker for each core; the master process is counted with them. Messages are not stored, and buffers are as
// small as the handshake lets them be. At its start nginx allocates the state of all possible connections, about 400 bytes
// for each. No figure here includes that part.
var nchanServer = peer{name: "nchan", language: "C", version: nchanVersion, prepare: findNchan, serve: serveNchan}

const nchanConfig = `load_module %[1]s;
daemon off;
worker_processes %[2]d;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log stderr error;
events { worker_connections 19000; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	client_header_buffer_size 512;
	connection_pool_size 256;
	request_pool_size 1k;
	server {
		listen %[3]s backlog=4096;
		location = /stream {
			nchan_subscriber websocket;
			nchan_channel_id peers;
			nchan_subscriber_first_message newest;
			nchan_subscriber_timeout 0;
		}
	}
	server {
		listen %[4]s;
		location = /publish {
			nchan_publisher http;
			nchan_channel_id peers;
			nchan_store_messages off;
		}
		location / {
			return 404;
		}
	}
}
`

// findNginx returns the paths of nginx and of the module.
func findNginx() (nginx, nchan string, err error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if nginx, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"} {
		nchan = filepath.Join(dir, "ngx_nchan_module.so")
		if _, err := os.Stat(nchan); err == nil {
			return nginx, nchan, nil
		}
	}
	return "", "", errors.New("nginx has no ngx_nchan_module.so")
}

func findNchan(string) error {
	_, _, err := findNginx()
	return err
}

// nchanVersion returns nginx's version, and that of the module's package where there is one; the module has no other.
func nchanVersion() string {
	nginx, _, _ := findNginx()
	v, _ := exec.Command(nginx, "-v").CombinedOutput()
	text := strings.TrimSpace(strings.TrimPrefix(string(v), "nginx version: "))
	if pkg, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan").Output(); err == nil {
		text += ", nchan " + string(pkg)
	}
	return text
}

func serveNchan(_ context.Context, s site) error {
	nginx, nchan, err := findNginx()
	if err != nil {
		return err
	}
	config := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nchanConfig, nchan, s.cores, s.listen, s.control), 0o644); err != nil {
		return err
	}
	return become(nginx, []string{"-p", s.dir, "-c", config, "-e", "stderr"})
}
