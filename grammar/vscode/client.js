// Starts `pipe lsp` and connects it to the editor. All that is known of the language is known by the server.

const { commands, window, workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function start() {
  const settings = workspace.getConfiguration("pipe");
  const command = settings.get("path") || "pipe";
  const server = { command, args: ["lsp"], options: { cwd: workspace.workspaceFolders?.[0]?.uri.fsPath } };
  client = new LanguageClient("pipe", "pipe", server, {
    documentSelector: [{ language: "pipe" }],
    initializationOptions: { set: settings.get("set"), params: settings.get("params") },
    synchronize: {
      configurationSection: "pipe",
      // a study is checked against its table: when that changes, so may what is wrong
      fileEvents: workspace.createFileSystemWatcher("**/*.{pipe,csv,tsv}"),
    },
  });
  return client.start().catch((error) => {
    window.showErrorMessage(`\`${command} lsp\` does not start: ${error.message}. Is the setting pipe.path right?`);
  });
}

function stop() {
  const last = client;
  client = undefined;
  return last?.stop().catch(() => undefined);
}

exports.activate = async (context) => {
  const restart = async () => {
    await stop();
    await start();
  };
  context.subscriptions.push(commands.registerCommand("pipe.restart", restart));
  context.subscriptions.push(
    workspace.onDidChangeConfiguration((event) => (event.affectsConfiguration("pipe.path") ? restart() : undefined)),
  );
  await start();
};

exports.deactivate = stop;
