// Starts `appnetctl lsp` and lets VS Code ask it about elements, files of applications and .proto files.
"use strict";

const path = require("path");
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

const LANGUAGES = ["appnet", "yaml", "proto", "proto3"];
const NAMED_BY_OTHERS = "**/*.{appnet,yaml,yml,proto,binpb}";

let client;

function command(folder) {
  const configured = vscode.workspace.getConfiguration("appnet").get("command");
  const relative = configured.includes("/") && !path.isAbsolute(configured);
  return relative && folder ? path.join(folder, configured) : configured;
}

async function start(watcher) {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const server = { command: command(folder), args: ["lsp"], options: { cwd: folder } };
  const documents = LANGUAGES.map((language) => ({ scheme: "file", language }));
  const options = { documentSelector: documents, synchronize: { fileEvents: watcher } };
  client = new LanguageClient("appnet", "AppNet", server, options);
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `AppNet: cannot start ${server.command}: ${error.message}. Set appnet.command to your appnetctl.`,
    );
  }
}

async function stop() {
  const running = client?.isRunning() ? client : undefined;
  client = undefined;
  await running?.stop();
}

async function activate(context) {
  const watcher = vscode.workspace.createFileSystemWatcher(NAMED_BY_OTHERS);
  const restart = async () => {
    await stop();
    await start(watcher);
  };
  context.subscriptions.push(watcher, vscode.commands.registerCommand("appnet.restart", restart));
  await start(watcher);
}

module.exports = { activate, deactivate: stop };
