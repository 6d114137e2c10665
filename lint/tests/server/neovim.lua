-- Run by neovim.rs in a headless Neovim whose buffer is p.yaml. Leaves with a status other than 0 on the first surprise.

local function check(condition, ...)
  if not condition then
    io.stderr:write('surprise: ' .. vim.inspect({ ... }) .. '\n')
    vim.cmd('cquit 1')
  end
end

local function wait(what, condition)
  check(vim.wait(30000, condition, 20), what, vim.diagnostic.get(0))
end

local function codes()
  local found = vim.tbl_map(function(diagnostic)
    return diagnostic.code or diagnostic.user_data.lsp.code
  end, vim.diagnostic.get(0))
  table.sort(found)
  return table.concat(found, ' ')
end

local exit
local ok, why = pcall(function()
  local id = vim.lsp.start_client({
    name = 'netpol-lint',
    cmd = { os.getenv('NETPOL_LINT'), 'server' },
    root_dir = vim.fn.getcwd(),
    on_exit = function(code) exit = code end,
  })
  check(id, 'the client starts')
  vim.lsp.buf_attach_client(0, id)
  local client = vim.lsp.get_client_by_id(id)
  wait('diagnostics of the file', function() return codes() == 'NP101 NP106' end)

  local function params(line, column)
    vim.api.nvim_win_set_cursor(0, { line, column })
    return vim.lsp.util.make_position_params(0, client.offset_encoding)
  end
  local function request(method, arguments)
    local answers = vim.lsp.buf_request_sync(0, method, arguments, 30000)
    check(answers and answers[id] and not answers[id].err, method, answers)
    return answers[id].result
  end

  local hover = request('textDocument/hover', params(15, 12))
  check(hover.contents.value:find('NP101 split%-peer%-selectors'), 'hover of a finding', hover)
  hover = request('textDocument/hover', params(3, 8))
  check(hover.contents.value:find('It selects the pods with app=db'), 'hover of the policy', hover)

  local function act(line, kind, wanted)
    vim.api.nvim_win_set_cursor(0, { line, 8 })
    local arguments = vim.lsp.util.make_range_params(0, client.offset_encoding)
    arguments.context = { diagnostics = {}, only = { kind } }
    for _, action in ipairs(request('textDocument/codeAction', arguments)) do
      if action.title:find(wanted, 1, true) then
        vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
        return
      end
    end
    check(false, 'no action', wanted)
  end
  act(1, 'source.fixAll', 'keep the meaning')
  wait('the safe fix', function() return codes() == 'NP101' end)
  local line = vim.diagnostic.get(0)[1].lnum + 1
  act(line, 'quickfix', 'changes the meaning')
  wait('the unsafe fix', function() return codes() == '' end)
  vim.cmd('silent write')

  -- Typing and taking it back.
  vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'é: [' })
  wait('broken', function() return codes() == 'NP013' end)
  vim.api.nvim_buf_set_lines(0, 0, 1, false, {})
  wait('whole again', function() return codes() == '' end)

  client.stop()
  check(vim.wait(30000, function() return exit ~= nil end, 20), 'the server ends')
  check(exit == 0, 'status', exit)
end)
check(ok, why)
io.stdout:write('all as expected\n')
vim.cmd('qall!')
