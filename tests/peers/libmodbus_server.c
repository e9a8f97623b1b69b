/* libmodbus' own test server, which misbehaves on purpose at the registers 0x170 to 0x173. Compiled by tests/run.
 *
 * Its source comes with the package libmodbus-dev and is included as it is. It listens on a fixed port; the macros below let the
 * kernel choose one instead, and print it as `port N`. It serves one connection and ends with it. `rtu PATH`
 * serves unit 17 on a serial port, and says `port 0`.
 */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static int listen_and_tell(modbus_t *ctx, int backlog) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int listener = modbus_tcp_listen(ctx, backlog);
    if (listener == -1 || getsockname(listener, (struct sockaddr *)&address, &length) == -1) {
        perror("listening");
        exit(1);
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static int connect_and_tell(modbus_t *ctx) {
    int connected = modbus_connect(ctx);
    printf("port 0\n");
    fflush(stdout);
    return connected;
}

#define modbus_connect(ctx) connect_and_tell(ctx)
#define modbus_new_tcp(ip, port) modbus_new_tcp(ip, 0)
#define modbus_new_rtu(path, baud, parity, data, stop) modbus_new_rtu(argv[2], baud, parity, data, stop)
#define modbus_tcp_listen(ctx, backlog) listen_and_tell(ctx, backlog)
#include <unit-test-server.c>
