/** A TCP echo server, or its client between stdin and stdout. Runs as a separate program inside a host. */
import { connect, createServer } from 'node:net';

const [role, ...rest] = process.argv.slice(2);
const say = (line: string): boolean => process.stdout.write(`${line}\n`);

// The test ends this program by closing its stdin.
process.stdin.on('end', () => process.exit());

if (role === 'listen') listen(Number(rest[0]));
else if (role === 'connect') open(rest[0] ?? '', Number(rest[1]), rest[2]);
else throw new Error('usage: echo.ts listen PORT | connect ADDRESS PORT [SOURCE]');

function listen(port: number): void {
  process.stdin.resume();
  const server = createServer((socket) => {
    // Tests let peers vanish on purpose.
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen({ port, host: '::' }, () => say('listening'));
}

function open(host: string, port: number, localAddress: string | undefined): void {
  const socket = connect({ host, port, noDelay: true, ...(localAddress && { localAddress }) });
  say('connecting');
  socket.on('error', (error: NodeJS.ErrnoException) =>
    say(`failed ${error.code ?? error.message}`),
  );
  socket.on('close', () => process.exit());
  socket.on('connect', () => {
    say('connected');
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
  });
}
