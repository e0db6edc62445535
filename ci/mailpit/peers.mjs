// What the inbox asks when it checks a message: a spamd and a web server, both on free ports of loopback.
import http from 'node:http';
import net from 'node:net';
const report = `Spam detection software

Content analysis details:   (6.5 points, 5.0 required)

 pts rule name              description
---- ---------------------- --------------------------------------------------
 6.0 GTUBE                  BODY: Generic Test for Unsolicited Bulk
                            Email
 0.5 MISSING_DATE           Missing Date: header
`;
const spamd = net.createServer({ allowHalfOpen: true }, socket => {
  let asked = '';
  socket.on('data', data => { asked += data.toString('latin1'); });
  socket.on('error', () => {});
  socket.on('end', () => {
    const length = Number(/^Content-length: (\d+)\r$/m.exec(asked)?.[1]);
    const good = asked.startsWith('REPORT SPAMC/') && asked.slice(asked.indexOf('\r\n\r\n') + 4).length === length;
    const is = /^Subject: spam\r$/m.test(asked);
    socket.end(good ? `SPAMD/1.1 0 EX_OK\r\nContent-length: ${report.length}\r\nSpam: ${is ? 'True' : 'False'} ; ${is ? 6.5 : 0.5} / 5.0\r\n\r\n${report}`
      : 'SPAMD/1.0 76 Bad request\r\n\r\n');
  });
});
const web = http.createServer((request, response) => {
  if (request.url === '/moved') response.writeHead(302, { location: '/good' });
  else response.writeHead(request.url === '/good' && request.method === 'HEAD' ? 200 : 404);
  response.end();
});
spamd.listen(0, '127.0.0.1', () => web.listen(0, '127.0.0.1', () => {
  console.log(`spamd 127.0.0.1:${spamd.address().port}\nhttp 127.0.0.1:${web.address().port}`);
}));
