/* Sends datagrams as fast as one core can, or slower, from 256 addresses of 127.0.0.0/8.

   flood PORT SECONDS RATE LENGTH FROM < datagrams     one after the other, of LENGTH bytes each

   RATE: so many a second, 0 for as many as it can. The bytes from FROM on are random in each datagram; FROM = LENGTH leaves all as they are.
   Prints how many it sent. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKETS = 256, BATCH = 64, MOST = 256, KINDS = 4096 };

static uint64_t state = 88172645463325252u;

static uint64_t next(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static int from_address(int number, int port) {
    struct sockaddr_in own = {.sin_family = AF_INET}, hub = {.sin_family = AF_INET};
    int opened = socket(AF_INET, SOCK_DGRAM, 0), small = 4096;
    own.sin_addr.s_addr = htonl(0x7f010000 + number);
    hub.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    hub.sin_port = htons(port);
    setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &small, sizeof small); /* answers are not read */
    if (bind(opened, (void *)&own, sizeof own) || connect(opened, (void *)&hub, sizeof hub)) {
        perror("flood");
        exit(1);
    }
    return opened;
}

int main(int count, char **values) {
    static uint8_t kinds[KINDS][MOST], out[BATCH][MOST];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int sockets[SOCKETS], known = 0;
    if (count != 6) return 2;
    int port = atoi(values[1]), length = atoi(values[4]), from = atoi(values[5]);
    double begin = now(), end = begin + atof(values[2]), rate = atof(values[3]);
    if (length < 1 || length > MOST || from > length) return 2;
    while (known < KINDS && fread(kinds[known], length, 1, stdin) == 1) known++;
    if (!known) return 2;
    for (int i = 0; i < SOCKETS; i++) sockets[i] = from_address(i + 1, port);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){out[i], length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    unsigned long sent = 0;
    for (unsigned long turn = 0; now() < end; turn++) {
        for (int i = 0; i < BATCH; i++) {
            memcpy(out[i], kinds[next() % known], length);
            for (int at = from; at < length; at++) out[i][at] = next() >> 32;
        }
        int done = sendmmsg(sockets[turn % SOCKETS], messages, BATCH, 0);
        if (done > 0) sent += done;
        while (rate > 0 && sent > rate * (now() - begin)) usleep(200);
    }
    printf("%lu\n", sent);
    return 0;
}
