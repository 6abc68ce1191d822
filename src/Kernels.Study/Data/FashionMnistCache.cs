namespace Kernels.Study;

/// <summary>Called while a file comes in; <paramref name="total"/> is null where the server does not say.</summary>
internal delegate void DownloadProgress(string file, long received, long? total);

/// <summary>The files in the user's cache folder, fetched from the data set's own repository when they are not there yet.</summary>
internal static class FashionMnistCache
{
    /// <summary>Set to 1, this forbids to download anything.</summary>
    public const string NoInstallVariable = "KERNELS_NO_INSTALL";

    // One commit of the upstream repository, so that the address always means the same bytes.
    private const string Upstream =
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/";

    public static string DefaultDirectory => Path.Combine(CacheRoot(), "kernels", "fashion-mnist");

    /// <summary>Fetches what is missing or damaged in <paramref name="directory"/>.</summary>
    public static async Task FillAsync(string directory, DownloadProgress progress, CancellationToken cancellation)
    {
        List<FashionMnistFile> wanted = [.. FashionMnist.Files.Where(file => !file.IsIntact(directory))];
        if (wanted.Count == 0) return;

        if (Environment.GetEnvironmentVariable(NoInstallVariable) == "1")
        {
            throw new DatasetException(
                Path.Combine(directory, wanted[0].Name),
                $"missing or damaged, and {NoInstallVariable}=1 forbids the download (30 MB). Install Debian's package " +
                $"dataset-fashion-mnist, or name a folder with the four files of Fashion-MNIST by --data DIR or " +
                $"{FashionMnist.DirectoryVariable}, or unset {NoInstallVariable}");
        }

        using HttpClient client = new() { Timeout = TimeSpan.FromMinutes(30) };
        foreach (FashionMnistFile file in wanted)
        {
            await FetchAsync(client, file, directory, progress, cancellation).ConfigureAwait(false);
        }
    }

    private static async Task FetchAsync(
        HttpClient client, FashionMnistFile file, string directory, DownloadProgress progress, CancellationToken cancellation)
    {
        string address = Upstream + file.Name;

        // Fetched and checked in a folder of its own and moved in when whole: a broken connection or a second process leaves no half file.
        string staging = Path.Combine(directory, $".fetch-{Guid.NewGuid():N}");
        try
        {
            Directory.CreateDirectory(staging);
            await DownloadAsync(client, address, Path.Combine(staging, file.Name), Report, cancellation).ConfigureAwait(false);
            file.Read(staging);
            File.Move(Path.Combine(staging, file.Name), Path.Combine(directory, file.Name), overwrite: true);
        }
        catch (DatasetException e)
        {
            throw new DatasetException(address, $"what arrived is not usable: {e.Reason}", e);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            throw new DatasetException(
                address,
                $"the download failed ({e.Message}). Install Debian's package dataset-fashion-mnist, or fetch the four files " +
                "by other means and name their folder by --data DIR",
                e);
        }
        finally
        {
            if (Directory.Exists(staging))
            {
                Directory.Delete(staging, recursive: true);
            }
        }

        void Report(long received, long? total) => progress(file.Name, received, total);
    }

    private static async Task DownloadAsync(
        HttpClient client, string address, string path, Action<long, long?> report, CancellationToken cancellation)
    {
        using HttpResponseMessage response = await client.GetAsync(address, HttpCompletionOption.ResponseHeadersRead, cancellation)
            .ConfigureAwait(false);
        response.EnsureSuccessStatusCode();
        long? total = response.Content.Headers.ContentLength;
        using Stream source = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
        using FileStream target = File.Create(path);
        byte[] buffer = new byte[1 << 16];
        long received = 0L;
        int read;
        while ((read = await source.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
        {
            await target.WriteAsync(buffer.AsMemory(0, read), cancellation).ConfigureAwait(false);
            received += read;
            report(received, total);
        }
    }

    private static string CacheRoot()
    {
        if (OperatingSystem.IsWindows())
        {
            return Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData);
        }

        string? xdg = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        return !string.IsNullOrEmpty(xdg)
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
    }
}
