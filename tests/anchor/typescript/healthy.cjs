// Exits with 0 when the node at this address says that it is healthy, and has made its first blocks.
const ask = async (method) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method });
  const headers = { "content-type": "application/json" };
  return (await (await fetch(process.argv[2], { method: "POST", headers, body })).json()).result;
};
Promise.all([ask("getHealth"), ask("getSlot")])
  .then(([health, slot]) => process.exit(health === "ok" && slot > 1 ? 0 : 1))
  .catch(() => process.exit(1));
