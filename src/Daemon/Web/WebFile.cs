using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace MigrationD.Daemon.Web;

/// <summary>One of the files that the page is made of; they are in this program, so nothing is read from a disk.</summary>
internal sealed class WebFile
{
    private readonly byte[] _content;
    private readonly string _type;
    private readonly string _tag;

    private WebFile(string path, string name, string type)
    {
        Path = path;
        _type = type;
        using Stream resource = typeof(WebFile).Assembly.GetManifestResourceStream($"Web/{name}")
            ?? throw new InvalidOperationException($"the program was built without its resource Web/{name}");
        using var content = new MemoryStream();
        resource.CopyTo(content);
        _content = content.ToArray();
        _tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(_content).AsSpan(0, 12))}\"";
    }

    /// <summary>All files of the page.</summary>
    public static IReadOnlyList<WebFile> All { get; } =
    [
        new("/", "index.html", "text/html; charset=utf-8"),
        new("/web/page.css", "page.css", "text/css; charset=utf-8"),
        new("/web/page.js", "page.js", "text/javascript; charset=utf-8"),
        new("/web/icon.svg", "icon.svg", "image/svg+xml"),
    ];

    public string Path { get; }

    /// <summary>
    /// Answers a browser, which asks each time, with nothing while its copy is this one: after an upgrade no half is old.
    /// </summary>
    public Task AnswerAsync(HttpContext http)
    {
        IHeaderDictionary headers = http.Response.Headers;
        headers.CacheControl = "no-cache";
        headers.ETag = _tag;
        if (http.Request.Headers[HeaderNames.IfNoneMatch] == _tag)
        {
            http.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        http.Response.ContentType = _type;
        http.Response.ContentLength = _content.Length;
        return http.Response.Body.WriteAsync(_content, http.RequestAborted).AsTask();
    }
}
